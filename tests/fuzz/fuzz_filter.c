/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any text as a filter: parsed or refused with a reason; what was parsed is matched against a device. */
#include "core/base.h"
#include "mgmtapi/device_msg.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct filter f;
	static const struct label labels[] = {{"site", "berlin"}, {"rack/a", "7"}};
	const struct device_view v = {
		.name = "pc-17",
		.group = "office",
		.state = DEVICE_APPROVED,
		.labels = labels,
		.labels_len = ARRAY_LEN(labels),
		.connected = true,
		.power = POWER_OFF_SOFT,
		.facts = {.amt_version = "15.0.23", .host_name = "pc", .control_mode = "acm"}};
	char *text = malloc(size + 1);
	struct buf why;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	buf_init(&why, 4096);
	if (filter_parse(text, &device_filter, &f, &why) == 0)
		(void)filter_matches(&f, device_filter_value, &v);
	else
		ASSERT(why.len > 0);
	buf_free(&why);
	free(text);
	return 0;
}
