/* SPDX-License-Identifier: GPL-3.0-or-later */
/* XML and envelopes. What was read and written as text must read again and be written the same. */
#include "core/err.h"
#include "wire/wsman.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX (16 << 20)

static void check_tree(struct span text)
{
	struct buf once, twice;

	buf_init(&once, OUT_MAX);
	buf_init(&twice, OUT_MAX);
	if (xml_normalize(text, NULL, &once) == 0 && once.len <= XML_TEXT_MAX) {
		int r = xml_normalize(buf_span(&once), NULL, &twice);

		/*
		 * Defaults are declared where they change, which can make more declarations than
		 * the limit.
		 */
		ASSERT(r == 0 || r == -ERR_TOO_BIG);
		ASSERT(r != 0 ||
		       (once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0));
	}
	buf_free(&once);
	buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wsman_message m;
	uint32_t v;

	check_tree(span_of(data, size));
	if (wsman_read(&m, span_of(data, size), NULL) != 0)
		return 0;
	(void)wsman_check(&m, 1);
	(void)wsman_return_value(&m, &v);
	(void)wsman_context(&m);
	(void)wsman_items(&m);
	(void)wsman_end_of_sequence(&m);
	(void)wsman_selector(&m, "Name");
	if (m.fault.kind != WSMAN_FAULT_NONE)
		ASSERT(m.fault.reason != NULL && m.fault.detail != NULL && m.fault.subcode != NULL);
	wsman_free(&m);
	return 0;
}
