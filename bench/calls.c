/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * calls.c: paced API calls on kept connections, as programs make them (Connect with JSON over HTTP/1.1 and TLS). Each call has a
 * moment when it is due; its latency counts from that moment, so that a call that had to wait for the one before it counts in full.
 *
 *   calls --api HOST:PORT --ca FILE --token-file FILE --guids FILE [--rate N] [--connections N] [--seconds S]
 *         [--method Service/Method] [--body JSON-WITH-%s-FOR-THE-GUID] [--call-timeout S]
 *
 * Prints a line for each call when it has ended: "DUE_MS LATENCY_US STATUS", DUE_MS on the monotonic clock; STATUS is that of HTTP,
 * 0 when the connection broke, -1 when no answer came in time (the connection is opened anew then). SIGTERM ends it; the call under way is finished.
 * The last line is "end CPU_SECONDS".
 */
#include "core/addr.h"
#include "core/err.h"
#include "core/file.h"
#include "core/text.h"
#include "core/tls.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define FILE_LIMIT      (64UL * 1024 * 1024)
#define ANSWER_MAX      (256UL * 1024)
#define REQUEST_MAX     4096
#define PIECE_SIZE      16384
#define RETRY_MS        200

static struct {
	const char *api, *method, *body;
	struct addr to;
	struct tls_ctx *tls;
	char token[256];
	char **guids, *guids_text;
	size_t guids_len;
	double rate;
	unsigned connections;
	uint64_t begin_us, end_us;
	time_t timeout_s;
	atomic_bool stop;
} opt = {.method = "PowerService/GetPowerState",
         .body = "{\"device\":\"%s\"}",
         .rate = 100,
         .connections = 16,
         .end_us = UINT64_MAX,
         .timeout_s = 60};

struct line {
	int fd;
	struct tls *tls;
	struct buf answer;
	bool late; /* the peer said nothing for call-timeout */
	uint8_t piece[PIECE_SIZE];
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "calls: %s\n", what);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000;
}

static void sleep_until(uint64_t us)
{
	struct timespec t = {.tv_sec = (time_t)(us / 1000000U),
	                     .tv_nsec = (long)(us % 1000000U) * 1000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR &&
	       !atomic_load(&opt.stop))
		continue;
}

static int put(void *arg, struct span s)
{
	const struct line *l = arg;

	while (s.len > 0) {
		ssize_t n = send(l->fd, s.ptr, s.len, MSG_NOSIGNAL);

		if (n <= 0)
			return -ERR_IO;
		s = span_of(s.ptr + n, s.len - (size_t)n);
	}
	return 0;
}

static void line_close(struct line *l)
{
	tls_free(l->tls);
	if (l->fd >= 0)
		close(l->fd);
	l->tls = NULL;
	l->fd = -1;
}

static bool more_input(struct line *l)
{
	ssize_t n = recv(l->fd, l->piece, sizeof(l->piece), 0);

	l->late = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
	if (n <= 0)
		return false;
	tls_input(l->tls, span_of(l->piece, (size_t)n));
	return true;
}

static bool line_open(struct line *l)
{
	struct timeval t = {.tv_sec = opt.timeout_s};
	char host[64];
	int r;

	str_copy(host, sizeof(host), opt.api);
	*strrchr(host, ':') = '\0';
	l->fd = socket(opt.to.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return false;
	(void)setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	(void)setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	l->tls = tls_new(opt.tls, host, put, l);
	if (l->tls == NULL || connect(l->fd, (const struct sockaddr *)&opt.to.ss, opt.to.len) != 0)
		return false;
	while ((r = tls_handshake(l->tls)) == -ERR_AGAIN)
		if (!more_input(l))
			return false;
	return r == 0;
}

/* The answer's status once all of it is there, 0 while it is not. Only what our API sends: a content-length always. */
static int answer_status(const struct buf *a)
{
	static const char mark[] = "content-length: ";
	const char *text = (const char *)a->data, *end, *at;
	size_t head, length;

	if (a->len == 0 || (end = memmem(a->data, a->len, "\r\n\r\n", 4)) == NULL)
		return 0;
	head = (size_t)(end - text) + 4;
	at = memmem(text, head, mark, sizeof(mark) - 1);
	length = at != NULL ? strtoul(at + sizeof(mark) - 1, NULL, 10) : 0;
	return a->len >= head + length && a->len > 12 ? (int)strtol(text + 9, NULL, 10) : 0;
}

/* Sends a call and waits for its answer: the status of HTTP, 0 if the connection broke, -1 if none came. */
static int call(struct line *l, const char *guid)
{
	char body[REQUEST_MAX / 2], request[REQUEST_MAX];
	const char *mark = strstr(opt.body, "%s");
	int status, n;

	n = snprintf(body, sizeof(body), "%.*s%s%s", mark != NULL ? (int)(mark - opt.body) : 0,
	             opt.body, guid, mark != NULL ? mark + 2 : "");
	must(n > 0 && (size_t)n < sizeof(body), "the body is too long");
	n = snprintf(request, sizeof(request),
	             "POST /causeway.v1.%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
	             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
	             opt.method, opt.api, opt.token, n, body);
	must(n > 0 && (size_t)n < sizeof(request), "the request is too long");
	buf_clear(&l->answer);
	if (tls_write(l->tls, span_of(request, (size_t)n)) != 0)
		return 0;
	while ((status = answer_status(&l->answer)) == 0) {
		uint8_t plain[PIECE_SIZE];
		ssize_t got = tls_read(l->tls, plain, sizeof(plain));

		if (got > 0)
			buf_put_span(&l->answer, span_of(plain, (size_t)got));
		else if (got != -ERR_AGAIN || !more_input(l))
			return l->late ? -1 : 0;
		if (l->answer.err != 0)
			return 0;
	}
	return status;
}

/* Connection number i of n makes the calls i, i + n, i + 2n ... of the whole sequence. */
static void *line_main(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	struct line *l = calloc(1, sizeof(*l));

	must(l != NULL, "no memory");
	l->fd = -1;
	buf_init(&l->answer, ANSWER_MAX);
	for (uint64_t k = i; !atomic_load(&opt.stop); k += opt.connections) {
		uint64_t due_us = opt.begin_us + (uint64_t)((double)k * 1e6 / opt.rate);
		int status = 0;

		if (due_us >= opt.end_us)
			break;
		sleep_until(due_us);
		if (atomic_load(&opt.stop))
			break;
		if (l->fd >= 0 || line_open(l))
			status = call(l, opt.guids[k % opt.guids_len]);
		printf("%llu %llu %d\n", (unsigned long long)(due_us / 1000),
		       (unsigned long long)(now_us() - due_us), status);
		if (status <= 0) {
			line_close(l);
			sleep_until(now_us() + RETRY_MS * 1000);
		}
	}
	line_close(l);
	buf_free(&l->answer);
	free(l);
	return NULL;
}

static void read_file(const char *path, struct buf *out)
{
	buf_init(out, FILE_LIMIT);
	if (file_read(path, out) == 0)
		return;
	fprintf(stderr, "calls: cannot read %s\n", path);
	exit(1);
}

static void read_guids(const char *path)
{
	struct buf text;
	char *save = NULL;

	read_file(path, &text);
	opt.guids = calloc(text.len / GUID_TEXT_LEN + 1, sizeof(*opt.guids));
	must(opt.guids != NULL, "no memory");
	opt.guids_text = strdup(buf_cstr(&text));
	must(opt.guids_text != NULL, "no memory");
	for (char *word = strtok_r(opt.guids_text, " \r\n", &save); word != NULL;
	     word = strtok_r(NULL, " \r\n", &save)) {
		must(strlen(word) == GUID_TEXT_LEN, "the file of GUIDs has something else");
		opt.guids[opt.guids_len++] = word;
	}
	must(opt.guids_len > 0, "no GUID");
	buf_free(&text);
}

static void read_token(const char *path)
{
	struct buf text;

	read_file(path, &text);
	must(str_copy_span(opt.token, sizeof(opt.token),
	                   span_of(text.data, strcspn(buf_cstr(&text), "\r\n"))),
	     "the token is too long");
	buf_free_secret(&text);
}

static void read_ca(const char *path)
{
	struct buf pem, why = {.cap = 4096};

	read_file(path, &pem);
	opt.tls = tls_ctx_new(&(struct tls_ctx_opts){.profile = TLS_API,
	                                             .verify = TLS_VERIFY_CA,
	                                             .ca_pem = buf_span(&pem)},
	                      &why);
	must(opt.tls != NULL, buf_cstr(&why));
	buf_free(&pem);
	buf_free(&why);
}

static void read_option(const char *name, const char *value)
{
	if (strcmp(name, "--api") == 0)
		opt.api = value;
	else if (strcmp(name, "--ca") == 0)
		read_ca(value);
	else if (strcmp(name, "--token-file") == 0)
		read_token(value);
	else if (strcmp(name, "--guids") == 0)
		read_guids(value);
	else if (strcmp(name, "--rate") == 0)
		opt.rate = strtod(value, NULL);
	else if (strcmp(name, "--connections") == 0)
		opt.connections = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(name, "--seconds") == 0)
		opt.end_us = (uint64_t)(strtod(value, NULL) * 1e6);
	else if (strcmp(name, "--method") == 0)
		opt.method = value;
	else if (strcmp(name, "--body") == 0)
		opt.body = value;
	else if (strcmp(name, "--call-timeout") == 0)
		opt.timeout_s = (time_t)strtoul(value, NULL, 10);
	else
		must(false, "unknown option; the head of bench/calls.c lists them");
}

static void on_signal(int number)
{
	(void)number;
	atomic_store(&opt.stop, true);
}

int main(int argc, char **argv)
{
	static pthread_t threads[CONNECTIONS_MAX];
	struct sigaction action = {.sa_handler = on_signal};
	struct rusage u;

	must(tls_global_init() == 0, "tls_global_init");
	for (int i = 1; i < argc; i += 2) {
		must(i + 1 < argc, "an option without a value");
		read_option(argv[i], argv[i + 1]);
	}
	must(opt.api != NULL && opt.tls != NULL && opt.token[0] != '\0' && opt.guids_len > 0,
	     "--api, --ca, --token-file and --guids are needed");
	must(addr_parse(opt.api, &opt.to) == 0, "--api is no address");
	must(opt.rate > 0 && opt.connections >= 1 && opt.connections <= CONNECTIONS_MAX,
	     "--rate or --connections out of range");
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	opt.begin_us = now_us();
	if (opt.end_us != UINT64_MAX)
		opt.end_us += opt.begin_us;
	for (size_t i = 0; i < opt.connections; i++)
		must(pthread_create(&threads[i], NULL, line_main, (void *)(uintptr_t)i) == 0,
		     "no thread");
	for (size_t i = 0; i < opt.connections; i++)
		pthread_join(threads[i], NULL);
	getrusage(RUSAGE_SELF, &u);
	printf("end %.3f\n", (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	                             (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
	tls_ctx_unref(opt.tls);
	tls_global_fini();
	return 0;
}
