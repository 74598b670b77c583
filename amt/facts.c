/* SPDX-License-Identifier: GPL-3.0-or-later */
/* facts.c: what a device is (amt.md B.1): version, build, SKU, host name, control mode. Read at connect, cached with its age. */
#include "amt/call.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

static int read_identity(void *arg, const struct xml_node *n)
{
	struct device_facts *f = arg;
	const char *id = xml_child_text(n, "InstanceID"),
		   *version = xml_child_text(n, "VersionString");

	if (id == NULL || version == NULL)
		return 0;
	if (strcmp(id, "AMT") == 0)
		(void)str_copy(f->amt_version, sizeof(f->amt_version), version);
	else if (strcmp(id, "Build Number") == 0)
		(void)str_copy(f->build, sizeof(f->build), version);
	else if (strcmp(id, "Sku") == 0)
		f->sku = (uint32_t)strtoul(version, NULL, 10);
	return 0;
}

static int read_identities(struct tunnel *t, struct device_facts *f, struct amt_error *why)
{
	const struct wsman_request rq = {.resource_uri = CIM_SCHEMA "CIM_SoftwareIdentity"};

	return amt_call_enumerate(t, &rq, read_identity, f, why);
}

static int read_general(struct tunnel *t, struct device_facts *f, struct amt_error *why)
{
	struct wsman_message m;
	const char *host;
	int err = amt_call_get(t, AMT_SCHEMA "AMT_GeneralSettings", &m, why);

	if (err != 0)
		return err;
	host = xml_child_text(m.body, "HostName");
	if (host != NULL && text_is_printable(span_str(host)))
		(void)str_copy(f->host_name, sizeof(f->host_name), host);
	wsman_free(&m);
	return 0;
}

static int read_control_mode(struct tunnel *t, struct device_facts *f, struct amt_error *why)
{
	struct wsman_message m;
	uint32_t mode;
	int err = amt_call_get(t, AMT_SCHEMA "AMT_SetupAndConfigurationService", &m, why);

	if (err != 0)
		return err;
	if (xml_u32(xml_child(m.body, "ProvisioningMode"), &mode) == 0)
		(void)str_copy(f->control_mode, sizeof(f->control_mode),
		               mode == 1   ? "acm"
		               : mode == 4 ? "ccm"
		                           : "none");
	wsman_free(&m);
	return 0;
}

int amt_facts_refresh(struct tunnel *t, struct amt_error *why)
{
	struct device_facts f = {.sku = 0};
	struct amt_power p;
	int err = read_identities(t, &f, why);

	if (err == 0)
		err = read_general(t, &f, why);
	if (err == 0)
		err = read_control_mode(t, &f, why);
	if (err != 0)
		return err;
	f.observed_ms = (uint64_t)clock_wall_ms();
	gateway_set_facts(tunnel_gateway(t), tunnel_device(t), &f);
	return amt_power_get(t, &p, why);
}

int amt_on_ready(struct tunnel *t, void *arg)
{
	struct credential c;
	struct amt_error why;
	int err;

	(void)arg;
	if (!tunnel_amt_credential(t, &c))
		return 0; /* nothing can be asked yet; setting an account does */
	secret_zero(&c, sizeof(c));
	err = amt_facts_refresh(t, &why);
	if (err != 0)
		log_event(LOG_WARN, "facts_failed", LOG_GUID("device", &tunnel_device(t)->guid),
		          LOG_ERR("err", err), LOG_STR("why", why.text));
	return err;
}
