/* SPDX-License-Identifier: GPL-3.0-or-later */
/* runfile.c: writes run.json. Addresses are ours and hold nothing that JSON would need escaped. */
#include "gateway/runfile.h"
#include "core/err.h"
#include "core/file.h"

#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define RUNFILE_MAX 16384

/* Tools on this machine connect to what stands here: 0.0.0.0 and [::] are no address to connect to. */
static void put_addr(struct buf *b, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	struct addr x = *a;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&x.ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&x.ss;

	if (x.ss.ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY)) {
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else if (x.ss.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr)) {
		in_port_t port = v6->sin6_port; /* these sockets take IPv4, too */

		x = (struct addr){.len = sizeof(*v4)};
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	addr_format(&x, text);
	buf_printf(b, "\"%s\"", text);
}

static void put_list(struct buf *b, const char *key, const struct addr *list, size_t len)
{
	buf_printf(b, ",\"%s\":[", key);
	for (size_t i = 0; i < len; i++) {
		if (i > 0)
			buf_put_u8(b, ',');
		put_addr(b, &list[i]);
	}
	buf_put_u8(b, ']');
}

int runfile_write(const char *dir, const struct runfile *r, struct buf *why)
{
	char path[PATH_MAX];
	struct buf b;
	int err;

	buf_init(&b, RUNFILE_MAX);
	buf_printf(&b, "{\"pid\":%ld", (long)getpid());
	put_list(&b, "cira", r->cira, r->cira_len);
	put_list(&b, "api", r->api, r->api_len);
	buf_put_str(&b, ",\"metrics\":");
	if (r->metrics.len > 0)
		put_addr(&b, &r->metrics);
	else
		buf_put_str(&b, "null");
	buf_put_str(&b, "}\n");
	err = file_path(path, sizeof(path), dir, "run.json");
	if (err == 0)
		err = b.err != 0 ? b.err : file_write(path, buf_span(&b), 0644);
	if (err != 0)
		buf_printf(why, "cannot write %s/run.json: %s", dir, err_text(err));
	buf_free(&b);
	return err;
}

void runfile_remove(const char *dir)
{
	char path[PATH_MAX];

	if (file_path(path, sizeof(path), dir, "run.json") == 0)
		(void)unlink(path);
}
