/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * format.h: text forms for people: tables, ages, durations, sizes, and text from strangers (device and host names) made
 * harmless for a terminal. Pure but for the printing of a finished table. One thread.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "core/buf.h"

#define CLI_TABLE_MAX       (256 * 1024 * 1024) /* octets of all cells */
#define CLI_COLUMNS_MAX     12
#define CLI_DURATION_MAX_MS (3650ull * 86400000) /* ten years */

/*
 * cli_duration_parse: "90s", "250ms", "1h30m", "30d" (units ms, s, m, h, d, each once, larger before smaller) into
 * milliseconds. A number without a unit is seconds. 0 or -ERR_INVALID (also over CLI_DURATION_MAX_MS).
 */
int cli_duration_parse(const char *text, uint64_t *ms) MUST_CHECK;

/* cli_age: "now", "12s ago", "3m ago", "2h ago", "5d ago", "in 3m"; "-" for then_ms 0. Both in ms since 1970. */
void cli_age(struct buf *out, int64_t then_ms, int64_t now_ms);
/* cli_local_time: "2026-01-31 12:00:01" in local time, or only the clock time. */
void cli_local_time(struct buf *out, int64_t ms, bool date);
/* cli_size: "512 B", "12.3 MiB". */
void cli_size(struct buf *out, uint64_t octets);

/* cli_put_clean: appends s with control characters, invalid UTF-8 and bidirectional overrides replaced by '?', line ends by spaces. */
void cli_put_clean(struct buf *out, const char *s);
/* cli_put_clean_lines: the same, but line ends and tabs stay. */
void cli_put_clean_lines(struct buf *out, const char *s);
/* cli_width: columns that the (clean) UTF-8 text takes on a terminal. */
size_t cli_width(const char *s);

/* cli_enum_word: an enum value without its type's prefix, lower case with dashes: POWER_ACTION_FORCE_OFF -> "force-off"; the number if unknown. */
void cli_enum_word(const ProtobufCEnumDescriptor *type, int value, char *out, size_t size);
/* cli_enum_value: the other way; -1 if there is none. */
int cli_enum_value(const ProtobufCEnumDescriptor *type, const char *word);

/* A table: heads, then cells row by row. */
struct cli_table {
	const char *const *heads;
	size_t columns;
	size_t cells;
	struct buf text; /* cells, each with a NUL */
	size_t width[CLI_COLUMNS_MAX];
};

void cli_table_init(struct cli_table *t, const char *const *heads, size_t columns);
/* cli_cell: the next cell; made clean; "-" if empty. */
void cli_cell(struct cli_table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* cli_table_print: with bold heads if color; frees the table. -ERR_NOMEM or -ERR_TOO_BIG if cells were lost. */
int cli_table_print(struct cli_table *t, FILE *out, bool color);

/* cli_field: one line "Label:   text" of a record, the text made clean; left out if it is empty. */
void cli_field(FILE *out, const char *label, const char *fmt, ...) PRINTF_LIKE(3, 4);
