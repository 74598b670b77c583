/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * top.h: the parts of `causeway top`: figures out of two answers of GetStatistics, a screen made of them, the same as JSON, and the
 * terminal. Figures and screen are pure. One thread.
 */
#pragma once

#include "causeway/v1/server.pb-c.h"
#include "mgmtapi/cli/cli.h"

#define TOP_INTERVAL_MIN_MS 100
#define TOP_INTERVAL_MAX_MS 3600000
#define TOP_WIDTH_MAX       400
#define TOP_HEIGHT_MAX      200
#define TOP_REASONS_MAX     12
#define TOP_REASON_SIZE     24

/* ---- figures (top_figures.c) ---- */

enum top_unit { TOP_COUNT, TOP_BYTES };

/* What is in use, beside its limit (0: it has none). */
struct top_use {
	const char *key, *label;
	enum top_unit unit;
	double now, limit;
};
/* What happens: in a second of the interval, and since the start. */
struct top_rate {
	const char *key, *label;
	enum top_unit unit;
	bool bad; /* good when it is 0 */
	double per_s, total;
};
/* How long something takes; p50_s, p99_s and mean_s are NAN when nothing happened. */
struct top_latency {
	const char *key, *label;
	double per_s, p50_s, p99_s, mean_s;
};
struct top_reason {
	char name[TOP_REASON_SIZE];
	double per_s, total;
};

#define TOP_USES      12
#define TOP_RATES     12
#define TOP_LATENCIES 6

struct top_figures {
	int64_t time_ms; /* Unix */
	uint64_t uptime_ms;
	bool rates_known; /* there was an earlier answer of the same run of the server */
	double cpu;       /* cores that are busy */
	double resident_bytes, workers, busy_mean, busy_most; /* busy: part of the time, 0..1 */
	struct top_use uses[TOP_USES];
	struct top_rate rates[TOP_RATES];
	struct top_latency latencies[TOP_LATENCIES];
	struct top_reason reasons[TOP_REASONS_MAX]; /* of refused connections; most first */
	size_t reasons_len;
};

/* top_names: the names that the request asks for; ends with NULL. */
extern const char *const top_names[];
/* top_figures: before may be NULL. Rates are those between the two. */
void top_figures(const Causeway__V1__GetStatisticsResponse *before,
                 const Causeway__V1__GetStatisticsResponse *now, struct top_figures *out);

/* ---- the screen (top_view.c) ---- */

struct top_view {
	unsigned width, height; /* up to TOP_WIDTH_MAX, TOP_HEIGHT_MAX */
	const char *server;     /* where; made clean */
	const char *status;     /* the last line; made clean */
	bool warn;              /* about the status */
	uint64_t interval_ms;
};
enum top_form {
	TOP_PLAIN,  /* lines without control characters */
	TOP_MONO,   /* for a terminal, drawn over what is there */
	TOP_COLOUR, /* the same with colours */
};
/* top_draw: appends the screen. top_draw_help: what is what, instead. */
void top_draw(const struct top_view *v, const struct top_figures *f, enum top_form form,
              struct buf *out);
void top_draw_help(const struct top_view *v, enum top_form form, struct buf *out);
/* top_json: appends the figures as one line of JSON. 0 or -ERR_NOMEM. */
int top_json(const struct top_figures *f, struct buf *out) MUST_CHECK;

/* ---- the terminal (top_term.c) ---- */

/*
 * top_term_enter: the alternate screen, keys without echo and line editing, no cursor. From here on every end of the process but a
 * SIGKILL puts things back. 0, or an exit status with the error set. top_term_leave: puts them back; harmless if not entered.
 */
int top_term_enter(struct cli *cli) MUST_CHECK;
void top_term_leave(void);
void top_term_size(const struct cli *cli, unsigned *width, unsigned *height);
/* top_term_signals: a descriptor that becomes readable when there is something for top_term_handle. */
int top_term_signals(void);
/* top_term_handle: a change of the size, a stop by Ctrl-Z, Ctrl-\. False: the program is to end. */
bool top_term_handle(void);
