/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base.h: the integers, macros and assertions that every file uses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_LEN(a)                  (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                     ((a) < (b) ? (a) : (b))
#define MAX(a, b)                     ((a) > (b) ? (a) : (b))
#define MUST_CHECK                    __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)             __attribute__((format(printf, f, a)))
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

/* For programmer errors only, in production too. What a peer sends never reaches an ASSERT. */
#define ASSERT(x)                                              \
	do {                                                   \
		if (__builtin_expect(!(x), 0))                 \
			assert_failed(#x, __FILE__, __LINE__); \
	} while (0)

_Noreturn void assert_failed(const char *expr, const char *file, int line);

/* A borrowed view of bytes; valid as long as what it points into. */
struct span {
	const uint8_t *ptr;
	size_t len;
};

/* span_of(ptr, len): makes a view. */
static inline struct span span_of(const void *ptr, size_t len)
{
	return (struct span){(const uint8_t *)ptr, len};
}

/* span_str(s): a view of a NUL-terminated string without its NUL. */
static inline struct span span_str(const char *s)
{
	return span_of(s, __builtin_strlen(s));
}
