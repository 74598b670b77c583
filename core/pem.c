/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pem.c: the textual encoding of keys and certificates (RFC 7468), read leniently, written strictly. Any thread. */
#include "core/err.h"
#include "core/text.h"
#include "core/x509.h"

#include <string.h>

#define PEM_BLOCK_MAX (1024u * 1024)
#define LINE_OCTETS   48 /* 64 characters */

static const char begin_mark[] = "-----BEGIN ", end_mark[] = "-----END ", dashes[] = "-----";

void pem_encode(const char *label, struct span der, struct buf *out)
{
	char line[64 + 1];

	buf_printf(out, "%s%s%s\n", begin_mark, label, dashes);
	for (size_t i = 0; i < der.len; i += LINE_OCTETS) {
		(void)base64_encode(line, span_of(der.ptr + i, MIN(der.len - i, LINE_OCTETS)),
		                    true);
		buf_put_str(out, line);
		buf_put_u8(out, '\n');
	}
	buf_printf(out, "%s%s%s\n", end_mark, label, dashes);
	secret_zero(line, sizeof(line));
}

/* Cuts text at the first mark: what is in front goes to before (may be NULL), what follows stays in text. */
static bool cut(struct span *text, const char *mark, struct span *before)
{
	const uint8_t *at = text->len > 0 ? memmem(text->ptr, text->len, mark, strlen(mark)) : NULL;
	size_t n;

	if (at == NULL)
		return false;
	n = (size_t)(at - text->ptr);
	if (before != NULL)
		*before = span_of(text->ptr, n);
	n += strlen(mark);
	*text = span_of(text->ptr + n, text->len - n);
	return true;
}

static bool ends_with(struct span s, const char *end)
{
	size_t n = strlen(end);

	return s.len >= n && memcmp(s.ptr + s.len - n, end, n) == 0;
}

static bool label_wanted(struct span label, const char *want)
{
	if (want == NULL)
		return ends_with(label, "PRIVATE KEY");
	return label.len == strlen(want) && ends_with(label, want);
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int decode_body(struct span body, struct buf *out)
{
	struct buf text;
	uint8_t *to;
	ssize_t n = -ERR_CORRUPT;

	if (body.len > PEM_BLOCK_MAX)
		return -ERR_TOO_BIG;
	if (body.len > 0 && memchr(body.ptr, ':', body.len) != NULL)
		return -ERR_UNSUPPORTED; /* headers: the old form of an encrypted key */
	buf_init(&text, PEM_BLOCK_MAX);
	for (size_t i = 0; i < body.len; i++)
		if (!is_space(body.ptr[i]))
			buf_put_u8(&text, body.ptr[i]);
	to = text.err == 0 ? buf_reserve(out, text.len / 4 * 3 + 3) : NULL;
	if (to != NULL)
		n = base64_decode(to, text.len / 4 * 3 + 3, buf_span(&text));
	if (n > 0)
		out->len += (size_t)n;
	else
		n = text.err != 0 ? text.err : out->err != 0 ? out->err : -ERR_CORRUPT;
	buf_free_secret(&text);
	return n > 0 ? 0 : (int)n;
}

int pem_decode(struct span text, const char *label, size_t nth, struct buf *out)
{
	struct span found, body, end_label;

	while (cut(&text, begin_mark, NULL)) {
		if (!cut(&text, dashes, &found))
			return -ERR_CORRUPT;
		if (!label_wanted(found, label) || nth-- > 0)
			continue;
		if (!cut(&text, end_mark, &body) || !cut(&text, dashes, &end_label) ||
		    end_label.len != found.len || memcmp(end_label.ptr, found.ptr, found.len) != 0)
			return -ERR_CORRUPT;
		if (label == NULL && ends_with(found, "ENCRYPTED PRIVATE KEY"))
			return -ERR_UNSUPPORTED;
		return decode_body(body, out);
	}
	return -ERR_NOT_FOUND;
}
