/* SPDX-License-Identifier: GPL-3.0-or-later */
/* page.c: what a browser or curl sees on the CIRA port: what this port is for, and that it works. Says nothing of devices. */
#include "gateway/internal.h"
#include "core/buf.h"
#include "core/err.h"

#define PAGE_MAX 4096

static const char page[] = "<!doctype html><html lang=\"en\"><head><meta "
			   "charset=\"utf-8\"><title>Causeway CIRA port</title></head><body>"
			   "<h1>This port works</h1>"
			   "<p>It is the CIRA port of a Causeway gateway: Intel AMT devices dial "
			   "in here and hold a tunnel open. "
			   "There is nothing for a browser to do here.</p>"
			   "<p>To manage devices use the <code>causeway</code> command line or the "
			   "API port. If a device does not connect, ask "
			   "<code>causeway device why</code>.</p></body></html>\n";

void page_answer(struct tunnel *t, struct span first)
{
	bool head = first.len > 0 && (t->sniff_len > 0 ? t->sniff[0] : first.ptr[0]) == 'H';
	struct buf b;

	gw_count(GW_PAGES);
	attempt_reach(t, ATTEMPT_HELLO, "a browser asked for the page of this port: TLS works");
	buf_init(&b, PAGE_MAX);
	buf_printf(&b,
	           "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: "
	           "%zu\r\n"
	           "Cache-Control: no-store\r\nX-Content-Type-Options: "
	           "nosniff\r\nContent-Security-Policy: default-src 'none'\r\n"
	           "Connection: close\r\n\r\n%s",
	           sizeof(page) - 1, head ? "" : page);
	if (b.err == 0 && conn_write(t->conn, buf_span(&b)) == 0)
		tunnel_close(t, 0, "");
	else
		conn_close(t->conn, 0);
	buf_free(&b);
}
