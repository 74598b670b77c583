/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz_conf.c: any text as configuration file: it loads, or it is refused with a message and owns nothing. */
#include "core/err.h"
#include "gateway/settings.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings_listener listeners[SETTINGS_LISTENERS_MAX];
	struct buf errors = {.cap = 1 << 20};
	static const struct settings zero;
	struct settings s;
	int err = settings_load_text(span_of(data, size), "fuzz", &s, &errors);

	if (err == 0) {
		ASSERT(errors.len == 0 && s.cira.name[0] != '\0');
		ASSERT(settings_listeners(&s, listeners, SETTINGS_LISTENERS_MAX) > 0);
		settings_free(&s);
	} else {
		ASSERT(errors.len > 0 && errors.err == 0);
		for (size_t i = 0; i < errors.len; i++)
			ASSERT(errors.data[i] == '\n' ||
			       (errors.data[i] >= 0x20 && errors.data[i] < 0x7f));
	}
	ASSERT(memcmp(&s, &zero, sizeof(s)) == 0);
	buf_free(&errors);
	return 0;
}
