/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apf_json.c: the JSON grammar (RFC 8259) as a machine over single octets. Text is not checked for valid UTF-8: nothing
 * keeps or shows it. */
#include "wire/apf_json.h"

#include <string.h>

enum state {
	AT_START,       /* before the object */
	AT_NAME_OR_END, /* after { */
	AT_NAME,        /* after , in an object */
	IN_NAME,
	AT_COLON,
	AT_VALUE,
	AT_VALUE_OR_END, /* after [ */
	IN_TEXT,
	IN_WORD,
	IN_NUMBER,
	AT_NEXT, /* after a value */
	AT_END,
};

enum number {
	NUM_MINUS,
	NUM_ZERO,
	NUM_INT,
	NUM_DOT,
	NUM_FRACTION,
	NUM_E,
	NUM_SIGN,
	NUM_EXPONENT,
};

#define MISMATCH 255u
static const char wanted[] = "action";
static const char words[] = "true\0false\0null"; /* word is an index into this */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool in_array(const struct apf_json *j)
{
	return (j->arrays >> j->depth & 1u) != 0;
}

static bool is_action(const struct apf_json *j)
{
	return j->depth == 1 && !in_array(j) && j->letters == sizeof(wanted) - 1;
}

static void enter(struct apf_json *j, bool array)
{
	if (j->depth == APF_JSON_DEPTH_MAX) {
		j->bad = true;
		return;
	}
	j->depth++;
	j->arrays &= ~(1u << j->depth);
	j->arrays |= (uint32_t)array << j->depth;
	j->state = array ? AT_VALUE_OR_END : AT_NAME_OR_END;
}

static void leave(struct apf_json *j)
{
	j->depth--;
	j->state = j->depth == 0 ? AT_END : AT_NEXT;
}

static void start_value(struct apf_json *j, uint8_t c)
{
	j->escape = false;
	j->word = 0;
	if (c == '"') {
		j->found = j->found || is_action(j);
		j->state = IN_TEXT;
	} else if (c == '{' || c == '[') {
		enter(j, c == '[');
	} else if (c == '-' || is_digit(c)) {
		j->word = c == '-' ? NUM_MINUS : c == '0' ? NUM_ZERO : NUM_INT;
		j->state = IN_NUMBER;
	} else if (c == 't' || c == 'f' || c == 'n') {
		j->word = (uint8_t)((c == 't' ? 0 : c == 'f' ? 5 : 11) + 1);
		j->state = IN_WORD;
	} else {
		j->bad = true;
	}
}

/* The next state of a number, or -1 if it cannot go on with c. */
static int number_next(uint8_t state, uint8_t c)
{
	switch ((enum number)state) {
	case NUM_MINUS:
		return c == '0' ? NUM_ZERO : is_digit(c) ? NUM_INT : -1;
	case NUM_ZERO:
	case NUM_INT:
		if (is_digit(c))
			return state == NUM_INT ? NUM_INT : -1;
		return c == '.' ? NUM_DOT : c == 'e' || c == 'E' ? NUM_E : -1;
	case NUM_DOT:
		return is_digit(c) ? NUM_FRACTION : -1;
	case NUM_FRACTION:
		return is_digit(c) ? NUM_FRACTION : c == 'e' || c == 'E' ? NUM_E : -1;
	case NUM_E:
		if (c == '+' || c == '-')
			return NUM_SIGN;
		return is_digit(c) ? NUM_EXPONENT : -1;
	case NUM_SIGN:
	case NUM_EXPONENT:
		return is_digit(c) ? NUM_EXPONENT : -1;
	}
	return -1;
}

static bool number_may_end(uint8_t state)
{
	return state == NUM_ZERO || state == NUM_INT || state == NUM_FRACTION ||
	       state == NUM_EXPONENT;
}

/* Between tokens: after a value, before a name, a colon or a value. */
static void structural(struct apf_json *j, uint8_t c)
{
	if (is_space(c))
		return;
	switch ((enum state)j->state) {
	case AT_START:
		if (c == '{')
			enter(j, false);
		else
			j->bad = true;
		return;
	case AT_NAME_OR_END:
	case AT_NAME:
		if (c == '}' && j->state == AT_NAME_OR_END) {
			leave(j);
			return;
		}
		j->bad = c != '"';
		j->letters = 0;
		j->word = 0;
		j->escape = false;
		j->state = IN_NAME;
		return;
	case AT_COLON:
		j->bad = c != ':';
		j->state = AT_VALUE;
		return;
	case AT_VALUE_OR_END:
		if (c == ']')
			leave(j);
		else
			start_value(j, c);
		return;
	case AT_VALUE:
		start_value(j, c);
		return;
	case AT_NEXT:
		if (c == ',')
			j->state = in_array(j) ? AT_VALUE : AT_NAME;
		else if (c == (in_array(j) ? ']' : '}'))
			leave(j);
		else
			j->bad = true;
		return;
	default: /* AT_END: only white space may follow */
		j->bad = true;
	}
}

static void match_letter(struct apf_json *j, uint8_t c)
{
	if (j->letters < sizeof(wanted) - 1 && c == (uint8_t)wanted[j->letters])
		j->letters++;
	else
		j->letters = MISMATCH;
}

static void in_string(struct apf_json *j, uint8_t c)
{
	if (j->word > 0) {
		j->bad = !is_hex(c);
		j->word--;
	} else if (j->escape) {
		j->escape = false;
		j->letters = j->state == IN_NAME ? MISMATCH : j->letters;
		if (c == 'u')
			j->word = 4;
		else
			j->bad = c == '\0' || strchr("\"\\/bfnrt", c) == NULL;
	} else if (c == '\\') {
		j->escape = true;
	} else if (c == '"') {
		j->state = j->state == IN_NAME ? AT_COLON : AT_NEXT;
	} else if (c < 0x20) {
		j->bad = true;
	} else if (j->state == IN_NAME) {
		match_letter(j, c);
	}
}

static void in_number(struct apf_json *j, uint8_t c)
{
	int next = number_next(j->word, c);

	if (next >= 0) {
		j->word = (uint8_t)next;
		return;
	}
	j->bad = !number_may_end(j->word);
	j->state = AT_NEXT;
	if (!j->bad)
		structural(j, c);
}

static void in_word(struct apf_json *j, uint8_t c)
{
	j->bad = c != (uint8_t)words[j->word];
	j->word++;
	if (!j->bad && words[j->word] == '\0')
		j->state = AT_NEXT;
}

void apf_json_init(struct apf_json *j)
{
	*j = (struct apf_json){.state = AT_START};
}

void apf_json_feed(struct apf_json *j, struct span piece)
{
	for (size_t i = 0; i < piece.len && !j->bad; i++) {
		if (j->state == IN_NAME || j->state == IN_TEXT)
			in_string(j, piece.ptr[i]);
		else if (j->state == IN_NUMBER)
			in_number(j, piece.ptr[i]);
		else if (j->state == IN_WORD)
			in_word(j, piece.ptr[i]);
		else
			structural(j, piece.ptr[i]);
	}
}

bool apf_json_ok(const struct apf_json *j)
{
	return !j->bad && j->state == AT_END && j->found;
}
