/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim_methods.c: the methods of the simulated classes, one table. Return values: amt.md A.8 and B. */
#include "bench/fleet/sim_wsman.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/err.h"
#include "core/text.h"

#define PT_INVALID_PARAMETER  36
#define CIM_INVALID_PARAMETER 5

struct invocation {
	struct sim_wsman *w;
	const struct sim_cim_class *cls;
	struct span params;
	struct buf *out;
};

/* A decimal parameter; UINT32_MAX if absent or no number. */
static uint32_t number(const struct invocation *i, const char *name)
{
	char text[16], *end;
	unsigned long v;

	if (!sim_cim_value(i->params, name, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return UINT32_MAX;
	v = strtoul(text, &end, 10);
	return *end == '\0' && v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

/* Whether the reference parameter names an instance of cls that exists. */
static bool refers_to(const struct invocation *i, const char *name, const char *cls)
{
	struct span value, rest;
	struct buf selectors, text;
	size_t index, n = strlen(cls);
	bool ok;

	if (!sim_cim_member(i->params, name, &value) || value.len < n + 1 || value.ptr[0] != '@' ||
	    memcmp(value.ptr + 1, cls, n) != 0)
		return false;
	buf_init(&selectors, SIM_CIM_TEXT_MAX);
	buf_init(&text, SIM_CIM_TEXT_MAX);
	rest = span_of(value.ptr + 1 + n, value.len - 1 - n);
	for (size_t k = 1; k < rest.len; k++)
		buf_put_u8(&selectors, rest.ptr[k] == '|' ? '\n' : rest.ptr[k]);
	ok = sim_cim_find(&i->w->cim, sim_cim_class_by_name(cls), buf_span(&selectors), &index,
	                  &text) == 0;
	buf_free(&selectors);
	buf_free(&text);
	return ok;
}

static int64_t request_power(struct invocation *i)
{
	struct span value;

	if (!refers_to(i, "ManagedElement", "CIM_ComputerSystem"))
		return CIM_INVALID_PARAMETER;
	/* The host, not the management engine. */
	if (!sim_cim_member(i->params, "ManagedElement", &value) ||
	    memmem(value.ptr, value.len, "Name=ManagedSystem", 18) == NULL)
		return CIM_INVALID_PARAMETER;
	return (int64_t)sim_power_request(i->w->power, number(i, "PowerState"), i->w->now_ms);
}

static int64_t change_boot_order(struct invocation *i)
{
	struct span value;

	if (!sim_cim_member(i->params, "Source", &value))
		return 0;
	return refers_to(i, "Source", "CIM_BootSourceSetting") ? 0 : CIM_INVALID_PARAMETER;
}

static int64_t set_boot_role(struct invocation *i)
{
	if (number(i, "Role") > 2 || !refers_to(i, "BootConfigSetting", "CIM_BootConfigSetting"))
		return CIM_INVALID_PARAMETER;
	return 0;
}

static int64_t set_enabled_state(struct invocation *i, uint32_t low, uint32_t high)
{
	uint32_t state = number(i, "RequestedState");
	struct buf line;
	int err;

	if (state < low || state > high)
		return CIM_INVALID_PARAMETER;
	buf_init(&line, 64);
	buf_printf(&line, "EnabledState=%u\n", state);
	err = sim_cim_set(&i->w->cim, i->cls, 0, buf_cstr(&line));
	buf_free(&line);
	return err == 0 ? 0 : 4;
}

static int64_t request_interfaces(struct invocation *i)
{
	return set_enabled_state(i, 32768, 32771);
}

static int64_t request_kvm(struct invocation *i)
{
	return set_enabled_state(i, 2, 3);
}

static int64_t get_uuid(struct invocation *i)
{
	const struct guid *g = &i->w->facts->guid;
	char text[32];

	base64_encode(text, span_of(g->b, sizeof(g->b)), true);
	buf_printf(i->out, "UUID=%s\n", text);
	return 0;
}

static int64_t get_time(struct invocation *i)
{
	buf_printf(i->out, "Ta0=%" PRId64 "\n", (int64_t)time(NULL) + i->w->clock_offset_s);
	return 0;
}

static int64_t set_time(struct invocation *i)
{
	uint32_t ta0 = number(i, "Ta0"), tm1 = number(i, "Tm1"), tm2 = number(i, "Tm2");

	if (ta0 == UINT32_MAX || tm1 == UINT32_MAX || tm2 == UINT32_MAX)
		return PT_INVALID_PARAMETER;
	i->w->clock_offset_s += ((int64_t)tm1 - ta0 + (int64_t)tm2 - ta0) / 2;
	return 0;
}

static int64_t request_power_saving(struct invocation *i)
{
	uint32_t state = number(i, "OSPowerSavingState");
	struct buf line;
	int err;

	if ((state != 2 && state != 3) || !refers_to(i, "ManagedElement", "CIM_ComputerSystem"))
		return CIM_INVALID_PARAMETER;
	buf_init(&line, 64);
	buf_printf(&line, "OSPowerSavingState=%u\n", state);
	err = sim_cim_set(&i->w->cim, i->cls, 0, buf_cstr(&line));
	buf_free(&line);
	return err == 0 ? 0 : 4;
}

static const struct {
	const char *cls, *method;
	int64_t (*run)(struct invocation *i);
} methods[] = {
	{"AMT_RedirectionService", "RequestStateChange", request_interfaces},
	{"AMT_SetupAndConfigurationService", "GetUuid", get_uuid},
	{"AMT_TimeSynchronizationService", "GetLowAccuracyTimeSynch", get_time},
	{"AMT_TimeSynchronizationService", "SetHighAccuracyTimeSynch", set_time},
	{"CIM_BootConfigSetting", "ChangeBootOrder", change_boot_order},
	{"CIM_BootService", "RequestStateChange", request_interfaces},
	{"CIM_BootService", "SetBootConfigRole", set_boot_role},
	{"CIM_KVMRedirectionSAP", "RequestStateChange", request_kvm},
	{"CIM_PowerManagementService", "RequestPowerStateChange", request_power},
	{"IPS_PowerManagementService", "RequestOSPowerSavingStateChange", request_power_saving},
};

int64_t sim_wsman_invoke(struct sim_wsman *w, const struct sim_cim_class *cls, const char *method,
                         struct span params, struct buf *out)
{
	struct invocation i = {.w = w, .cls = cls, .params = params, .out = out};

	for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
		if (strcmp(methods[m].cls, cls->name) == 0 &&
		    strcmp(methods[m].method, method) == 0)
			return methods[m].run(&i);
	}
	return -ERR_NOT_FOUND;
}
