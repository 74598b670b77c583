/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * registry_auth.c: who is it? (design section 5). A device with credentials of its own is only reached by them: a stranger who knows a
 * group's enrolment password cannot take its place. The same GUID with other credentials is another instance, kept apart.
 */
#include "gateway/registry_internal.h"
#include "core/err.h"

#include <string.h>

/* Compares even when there is nothing to compare with, so that time does not tell whether a user exists. */
static bool password_matches(const struct credential *c, struct span password)
{
	uint8_t have[SECRET_MAX_LEN] = {0}, want[SECRET_MAX_LEN] = {0};
	bool same;

	if (password.len > sizeof(have))
		return false;
	if (password.len > 0)
		memcpy(have, password.ptr, password.len);
	if (c != NULL)
		memcpy(want, c->password, strnlen(c->password, sizeof(want)));
	same = secret_equal(span_of(have, sizeof(have)), span_of(want, sizeof(want)));
	secret_zero(have, sizeof(have));
	secret_zero(want, sizeof(want));
	return same && c != NULL && c->password[0] != '\0' &&
	       strnlen(c->password, SECRET_MAX_LEN) == password.len;
}

static bool user_matches(const struct credential *c, struct span user)
{
	return c != NULL && user.len > 0 && secret_equal(span_str(c->user), user);
}

static void known(const struct device *d, struct auth_result *out)
{
	out->verdict = AUTH_KNOWN;
	out->key = d->key;
	out->state = d->state;
	(void)str_copy(out->group, sizeof(out->group), d->group);
}

/* Right group credentials: the group's device with this GUID, or a new instance if the policy wants it. */
static void group_device(struct registry *r, const struct guid *guid, const struct store_group *g,
                         struct auth_result *out)
{
	struct device_key key = {.guid = *guid}, free_key = {.instance = GUID_INSTANCES_MAX};

	(void)str_copy(out->group, sizeof(out->group), g->name);
	for (; key.instance < GUID_INSTANCES_MAX; key.instance++) {
		const struct device *d = registry_device(r, &key);

		if (d == NULL && free_key.instance == GUID_INSTANCES_MAX)
			free_key = key;
		if (d != NULL && d->cira == NULL && strcmp(d->group, g->name) == 0) {
			known(d, out);
			return;
		}
	}
	out->verdict = AUTH_POLICY;
	if (guid_is_placeholder(guid))
		out->detail = "the GUID is a vendor's placeholder that many machines share: set "
			      "the SMBIOS UUID, or give the device credentials of its own";
	else if (g->enroll == ENROLL_REJECT)
		out->detail = "the group does not accept unknown devices (enroll: reject); add the "
			      "device or change the group's policy";
	else if (free_key.instance == GUID_INSTANCES_MAX)
		out->detail =
			"too many devices claim this GUID already; delete those that are gone";
	else {
		out->verdict = AUTH_ENROLL;
		out->key = free_key;
		out->state = g->enroll == ENROLL_ACCEPT ? DEVICE_APPROVED : DEVICE_HELD;
	}
}

void registry_authenticate(struct registry *r, const struct guid *guid, struct span user,
                           struct span password, struct auth_result *out)
{
	struct device_key key = {.guid = *guid};
	const struct store_group *g;
	bool user_known = false;

	*out = (struct auth_result){.verdict = AUTH_BAD_USER, .detail = ""};
	shared_lock_read(&r->lock);
	for (; key.instance < GUID_INSTANCES_MAX; key.instance++) {
		const struct device *d = registry_device(r, &key);

		if (d == NULL || !user_matches(d->cira, user))
			continue;
		user_known = true;
		(void)str_copy(out->group, sizeof(out->group), d->group);
		if (password_matches(d->cira, password)) {
			known(d, out);
			shared_lock_read_end(&r->lock);
			return;
		}
	}
	g = map_get(&r->cira_users, user);
	if (password_matches(g != NULL ? &g->cira : NULL, password)) {
		group_device(r, guid, g, out);
	} else if (g != NULL || user_known) {
		out->verdict = AUTH_BAD_PASSWORD;
		if (g != NULL)
			(void)str_copy(out->group, sizeof(out->group), g->name);
	}
	shared_lock_read_end(&r->lock);
}

void registry_authenticate_cert(struct registry *r, const struct guid *guid, const char *cn,
                                struct auth_result *out)
{
	struct device_key key = {.guid = *guid};
	struct guid named;
	const struct device *d;

	*out = (struct auth_result){.verdict = AUTH_POLICY,
	                            .detail =
	                                    "the client certificate's CN is not the device's GUID"};
	if (guid_parse(span_str(cn), &named) != 0 || !guid_equal(&named, guid))
		return;
	shared_lock_read(&r->lock);
	d = registry_device(r, &key);
	if (d != NULL)
		known(d, out);
	else
		out->detail = "no device with this GUID is known; enrol it with a group's user and "
			      "password first";
	shared_lock_read_end(&r->lock);
}
