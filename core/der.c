/* SPDX-License-Identifier: GPL-3.0-or-later */
/* der.c: elements of DER, one at a time; nothing here recurses or allocates except through struct buf. */
#include "core/der.h"
#include "core/err.h"

#include <time.h>

#define LENGTH_OCTETS_MAX 4

static bool corrupt(struct cur *c)
{
	c->err = -ERR_CORRUPT;
	return false;
}

static bool read_length(struct cur *c, size_t *out)
{
	uint8_t first = cur_u8(c);
	size_t n = 0;

	if (first < 0x80) {
		*out = first;
		return c->err == 0;
	}
	first &= 0x7f;
	if (first == 0 || first > LENGTH_OCTETS_MAX)
		return corrupt(c);
	for (uint8_t i = 0; i < first; i++)
		n = n << 8 | cur_u8(c);
	*out = n;
	return c->err == 0;
}

bool der_next(struct cur *c, struct der *out)
{
	const uint8_t *start = c->ptr;
	size_t n;

	*out = (struct der){0};
	if (c->err != 0 || c->left == 0)
		return false;
	out->tag = cur_u8(c);
	if ((out->tag & 0x1f) == 0x1f || !read_length(c, &n))
		return corrupt(c);
	out->body = cur_bytes(c, n);
	if (c->err != 0)
		return corrupt(c);
	out->whole = span_of(start, (size_t)(c->ptr - start));
	return true;
}

bool der_expect(struct cur *c, uint8_t tag, struct der *out)
{
	if (c->err == 0 && c->left == 0)
		return corrupt(c);
	if (!der_next(c, out))
		return false;
	return out->tag == tag || corrupt(c);
}

bool der_optional(struct cur *c, uint8_t tag, struct der *out)
{
	if (c->err != 0 || c->left == 0 || c->ptr[0] != tag)
		return false;
	return der_next(c, out);
}

static bool two_digits(struct cur *c, int *out)
{
	uint8_t a = cur_u8(c), b = cur_u8(c);

	if (a < '0' || a > '9' || b < '0' || b > '9')
		return false;
	*out = (a - '0') * 10 + (b - '0');
	return true;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; years are counted from March so that the leap day is last. */
static int64_t days_from_date(int64_t year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1, era = (y >= 0 ? y : y - 399) / 400,
		of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int der_time(const struct der *d, int64_t *out_s)
{
	struct cur c = cur_of(d->body);
	int century = 0, year, month, day, hour, minute, second;

	if (d->tag != DER_UTC_TIME && (d->tag != DER_GENERALIZED_TIME || !two_digits(&c, &century)))
		return -ERR_CORRUPT;
	if (!two_digits(&c, &year) || !two_digits(&c, &month) || !two_digits(&c, &day) ||
	    !two_digits(&c, &hour) || !two_digits(&c, &minute) || !two_digits(&c, &second))
		return -ERR_CORRUPT;
	if (cur_u8(&c) != 'Z' || c.left != 0)
		return -ERR_CORRUPT;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
	    second > 60)
		return -ERR_CORRUPT;
	if (d->tag == DER_UTC_TIME)
		century = year < 50 ? 20 : 19;
	*out_s = ((days_from_date(century * 100 + year, month, day) * 24 + hour) * 60 + minute) *
	                 60 +
	         second;
	return 0;
}

void der_put(struct buf *out, uint8_t tag, struct span body)
{
	ASSERT(body.len <= UINT32_MAX);
	buf_put_u8(out, tag);
	if (body.len < 0x80) {
		buf_put_u8(out, (uint8_t)body.len);
	} else {
		uint8_t octets = body.len > 0xffffff ? 4
		                 : body.len > 0xffff ? 3
		                 : body.len > 0xff   ? 2
		                                     : 1;

		buf_put_u8(out, 0x80 | octets);
		while (octets-- > 0)
			buf_put_u8(out, (uint8_t)(body.len >> (8 * octets)));
	}
	buf_put_span(out, body);
}

void der_put_wrapped(struct buf *out, uint8_t tag, struct buf *inner)
{
	if (inner->err != 0 && out->err == 0)
		out->err = inner->err;
	der_put(out, tag, buf_span(inner));
	buf_free_secret(inner);
}

void der_put_time(struct buf *out, int64_t time_s)
{
	time_t t = (time_t)time_s;
	char text[24];
	struct tm tm;
	bool utc;

	ASSERT(gmtime_r(&t, &tm) != NULL && tm.tm_year >= 70 && tm.tm_year <= 8099);
	utc = tm.tm_year < 150;
	ASSERT(strftime(text, sizeof(text), utc ? "%y%m%d%H%M%SZ" : "%Y%m%d%H%M%SZ", &tm) > 0);
	der_put(out, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME, span_str(text));
}
