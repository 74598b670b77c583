/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc_devices.c: DeviceService but for WatchDevices and ExplainDevice. Handlers run in their call's fiber, apply_* on the store's
 * writer thread. A device of another group is not found, whatever is asked.
 */
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/device_msg.h"
#include "mgmtapi/device_pack.h"
#include "mgmtapi/mutation.h"
#include "mgmtapi/pending.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_STEP 2000  /* devices looked at under the registry's lock at a time */
#define SCAN_MAX  50000 /* devices looked at for one page; then a short page with a token */

/* ---- reading ---- */

struct getting {
	struct call *c;
	struct buf packed;
	bool found;
};

static bool sees(const struct call *c, const struct device_view *v)
{
	return principal_sees_group((void *)(uintptr_t)call_principal(c), v->group);
}

static void pack_view(void *arg, const struct device_view *v)
{
	struct getting *g = arg;
	struct pb w;

	g->found = sees(g->c, v);
	if (!g->found)
		return;
	w = pb_start(&g->packed, DEVICE_PACKED_MAX);
	device_pack(&w, v);
	pb_finish(&w);
}

static int get_device(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__GetDeviceRequest *rq = (const void *)request;
	struct getting g = {.c = c, .packed = {.cap = DEVICE_PACKED_MAX}};
	struct device_key key;
	int err = find_device(c, rq->device, &key);

	if (err != 0)
		return err;
	err = gateway_device_view(api_of(c)->gateway, &key, pack_view, &g);
	return err == 0 && g.found ? call_send_packed(c, &g.packed) : device_gone(c, rq->device);
}

#define DEVICE_PACKED_USUAL 512 /* octets that few devices exceed */
#define PAGE_TOKEN_PACKED   (PAGE_TOKEN_TEXT_MAX + PB_TAG_MAX + PB_VARINT_MAX)

struct listing {
	struct call *c;
	const struct filter *filter;
	struct buf out; /* the response as far as it is written */
	size_t len, max, step, scanned;
	struct device_key last;
	bool more, stepped;
};

static bool page_is_full(const struct listing *l)
{
	size_t next = PB_TAG_MAX + PB_VARINT_MAX + DEVICE_PACKED_MAX + PAGE_TOKEN_PACKED;

	return l->len == l->max || next > l->out.cap - l->out.len;
}

static bool list_one(void *arg, const struct device_view *v)
{
	struct listing *l = arg;
	uint8_t *content;
	struct pb w;

	if (l->step == SCAN_STEP || page_is_full(l)) {
		l->stepped = true;
		return false;
	}
	l->step++;
	l->last = v->key;
	if (!sees(l->c, v) || !filter_matches(l->filter, device_filter_value, v))
		return true;
	w = pb_start(&l->out, PB_TAG_MAX + PB_VARINT_MAX + DEVICE_PACKED_MAX);
	content = pb_nest(&w, 1);
	device_pack(&w, v);
	pb_unnest(&w, content);
	pb_finish(&w);
	l->len++;
	return l->out.err == 0;
}

/* In steps, so that the lock is held shortly and other fibers get their turn. */
static void scan(struct listing *l, const struct device_key *after)
{
	const struct device_key *from = after;

	do {
		l->stepped = false;
		l->step = 0;
		gateway_device_each(api_of(l->c)->gateway, from, list_one, l);
		l->scanned += l->step;
		from = &l->last;
		if (l->stepped && !page_is_full(l))
			fiber_yield();
	} while (l->stepped && !page_is_full(l) && l->scanned < SCAN_MAX && l->out.err == 0);
	l->more = l->stepped;
}

static int open_list(struct call *c, const Causeway__V1__ListDevicesRequest *rq, struct filter *f,
                     struct device_key *after, bool *has_after)
{
	uint8_t position[PAGE_POSITION_MAX];
	struct buf why;
	size_t len;
	int err;

	buf_init(&why, CALL_MESSAGE_MAX);
	err = filter_parse(rq->filter, &device_filter, f, &why);
	if (err != 0)
		err = call_fail(
			c, CALL_INVALID_ARGUMENT, "FILTER_INVALID",
			"conditions FIELD=VALUE or FIELD!=VALUE joined by AND, * for any text",
			"%s", buf_cstr(&why));
	buf_free(&why);
	if (err == 0)
		err = page_open(c, rq->filter, rq->page_token, position, &len);
	*has_after = err == 0 && len > 0;
	if (*has_after && device_key_parse(span_of(position, len), after) != 0)
		return -ERR_INVALID;
	return err;
}

static void put_page_token(struct listing *l, const char *filter)
{
	char text[DEVICE_KEY_TEXT_MAX], *token;
	struct pb w;

	device_key_format(&l->last, text);
	token = page_close(l->c, filter, span_str(text));
	if (token == NULL) {
		l->out.err = -ERR_NOMEM;
		return;
	}
	w = pb_start(&l->out, PAGE_TOKEN_PACKED);
	pb_text(&w, 2, token);
	pb_finish(&w);
}

static int list_devices(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ListDevicesRequest *rq = (const void *)request;
	struct listing l = {
		.c = c, .out = {.cap = call_send_max(c)}, .max = page_size(rq->page_size)};
	struct filter *f = call_alloc(c, sizeof(*f));
	struct device_key after;
	bool has_after;
	int err;

	if (f == NULL)
		return no_memory(c);
	err = open_list(c, rq, f, &after, &has_after);
	if (err != 0)
		return err;
	l.filter = f;
	(void)buf_reserve(&l.out, MIN(l.max * DEVICE_PACKED_USUAL, l.out.cap));
	scan(&l, has_after ? &after : NULL);
	if (l.more)
		put_page_token(&l, rq->filter);
	err = call_send_packed(c, &l.out);
	return err == -ERR_NOMEM ? no_memory(c) : err;
}

/* ---- changing one device's record ---- */

/* One change: what is given by the method, and the device as a message with its live part, taken before the transaction. */
struct change {
	const char *text; /* as the caller named it */
	struct device_key key;
	const char *etag;
	const ProtobufCMessage *rq;
	int (*edit)(struct mutation *m, struct store_device *d, const struct change *ch);
	bool done; /* by this call, not by an earlier one */
	Causeway__V1__Device *live;
};

static int gone(struct mutation *m, const struct change *ch)
{
	return mutation_fail(m, CALL_NOT_FOUND, "DEVICE_NOT_FOUND",
	                     "list devices to see what there is", "there is no device %.80s",
	                     ch->text);
}

static int check_etag(struct mutation *m, const char *want, const struct store_device *d)
{
	char etag[ETAG_TEXT_MAX];

	device_etag(d, etag);
	if (want[0] == '\0' || strcmp(want, etag) == 0)
		return 0;
	return mutation_fail(m, CALL_ABORTED, "ETAG_MISMATCH",
	                     "read the device again and redo the change",
	                     "somebody changed the device meanwhile");
}

static int load(struct mutation *m, struct store_txn *txn, const struct change *ch,
                struct store_device *d)
{
	int err = store_device_get(txn, &ch->key, d);

	if (err == 0 && !principal_sees_group((void *)(uintptr_t)call_principal(m->call), d->group))
		err = -ERR_NOT_FOUND;
	if (err == -ERR_NOT_FOUND)
		return gone(m, ch);
	return err != 0 ? err : check_etag(m, ch->etag, d);
}

static int check_group(struct mutation *m, struct store_txn *txn, const struct store_device *d)
{
	struct store_group *g = calloc(1, sizeof(*g));
	int err = g != NULL ? store_group_get(txn, d->group, g) : -ERR_NOMEM;

	if (g != NULL)
		secret_zero(g, sizeof(*g));
	free(g);
	if (err == 0 && !principal_sees_group((void *)(uintptr_t)call_principal(m->call), d->group))
		err = -ERR_NOT_FOUND;
	if (err == -ERR_NOT_FOUND)
		return mutation_fail(m, CALL_NOT_FOUND, "GROUP_NOT_FOUND",
		                     "list groups to see what there is", "there is no group %s",
		                     d->group);
	return err;
}

static int respond(struct mutation *m, const struct change *ch, const struct store_device *d)
{
	struct msg_mem mem = msg_mem_of(&m->allocator);
	Causeway__V1__Device *msg = msg_take(&mem, sizeof(*msg));

	if (msg == NULL)
		return -ERR_NOMEM;
	*msg = *ch->live;
	device_msg_record(&mem, msg, d);
	return mem.failed ? -ERR_NOMEM : mutation_respond(m, &msg->base);
}

static int apply_change(struct mutation *m, struct store_txn *txn, void *arg)
{
	struct change *ch = arg;
	struct store_device *d = calloc(1, sizeof(*d));
	char group[NAME_MAX_LEN + 1] = "";
	int err = d != NULL ? load(m, txn, ch, d) : -ERR_NOMEM;

	if (err == 0) {
		(void)str_copy(group, sizeof(group), d->group);
		err = ch->edit(m, d, ch);
	}
	if (err == 0 && strcmp(group, d->group) != 0)
		err = check_group(m, txn, d);
	if (err == 0) {
		d->updated_ms = MAX((uint64_t)clock_wall_ms(), d->updated_ms + 1);
		err = store_device_put(txn, d);
	}
	if (err == 0)
		err = respond(m, ch, d);
	if (d != NULL)
		secret_zero(d, sizeof(*d));
	free(d);
	return err;
}

struct living {
	struct call *c;
	struct msg_mem mem;
	Causeway__V1__Device *msg;
};

static void keep_live(void *arg, const struct device_view *v)
{
	struct living *l = arg;

	if (sees(l->c, v))
		l->msg = device_msg(&l->mem, v);
}

/* Finds the device and runs apply. A kept answer comes first: by now the device may be gone or have another name. */
static int run_change(struct call *c, struct change *ch, mutation_apply_fn *apply)
{
	struct living g = {.c = c, .mem = msg_mem_of(call_allocator(c))};
	struct mutation *m = mutation_new(c, ch->rq);
	char text[DEVICE_KEY_TEXT_MAX];
	int err = m != NULL ? mutation_kept(m) : -ERR_NOMEM;

	if (err != 0)
		return m != NULL ? mutation_finish(m, err == 1 ? 0 : err) : err;
	err = find_device(c, ch->text, &ch->key);
	if (err == 0 && gateway_device_view(api_of(c)->gateway, &ch->key, keep_live, &g) != 0)
		err = device_gone(c, ch->text);
	if (err == 0 && g.msg == NULL)
		err = g.mem.failed ? no_memory(c) : device_gone(c, ch->text);
	if (err == 0) {
		ch->live = g.msg;
		device_key_format(&ch->key, text);
		mutation_about(m, "devices/%s", text);
		err = mutation_run(m, apply, ch);
		ch->done = err == 0 && !m->replayed;
	}
	return mutation_finish(m, err);
}

/* ---- update ---- */

static bool label_key_is_valid(const char *key)
{
	size_t n = strlen(key);

	if (n == 0 || n > LABEL_KEY_MAX)
		return false;
	for (; *key != '\0'; key++)
		if (!((*key >= 'a' && *key <= 'z') || (*key >= '0' && *key <= '9') ||
		      strchr("._/-", *key) != NULL))
			return false;
	return true;
}

static bool has_label(const struct store_device *d, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(d->labels[i].key, key) == 0)
			return true;
	return false;
}

static int bad_label(struct mutation *m, const char *what)
{
	return mutation_fail(m, CALL_INVALID_ARGUMENT, "LABEL_INVALID",
	                     "at most 32 labels; keys 1 to 63 characters of [a-z0-9._/-], each "
	                     "once; values up to 255 octets",
	                     "%s", what);
}

static int edit_labels(struct mutation *m, struct store_device *d,
                       const Causeway__V1__UpdateDeviceRequest *rq)
{
	if (rq->n_labels > LABELS_MAX)
		return bad_label(m, "more than 32 labels");
	memset(d->labels, 0, sizeof(d->labels));
	for (size_t i = 0; i < rq->n_labels; i++) {
		if (!label_key_is_valid(rq->labels[i]->key))
			return bad_label(m, "a label's key is not valid");
		if (has_label(d, i, rq->labels[i]->key))
			return bad_label(m, "a label's key stands there twice");
		if (!str_copy(d->labels[i].value, sizeof(d->labels[i].value), rq->labels[i]->value))
			return bad_label(m, "a label's value is too long");
		(void)str_copy(d->labels[i].key, sizeof(d->labels[i].key), rq->labels[i]->key);
	}
	d->labels_len = (uint16_t)rq->n_labels;
	return 0;
}

static bool friendly_name_is_valid(const char *name)
{
	struct device_key key;

	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '/')
			return false;
	/* A name that reads as an id could stand for another device. */
	return strlen(name) <= NAME_MAX_LEN && device_key_parse(span_str(name), &key) != 0;
}

static int edit_update(struct mutation *m, struct store_device *d, const struct change *ch)
{
	const Causeway__V1__UpdateDeviceRequest *rq = (const void *)ch->rq;
	int err = 0;

	m->detail[0] = '\0';
	if (field_masked(rq->update_mask, "name", rq->name[0] != '\0')) {
		if (!friendly_name_is_valid(rq->name))
			return mutation_fail(
				m, CALL_INVALID_ARGUMENT, "NAME_INVALID",
				"up to 64 octets, no control characters, no \"/\", and not a GUID",
				"the name is not valid");
		(void)str_copy(d->name, sizeof(d->name), rq->name);
		mutation_note(m, "name=%s ", d->name);
	}
	if (field_masked(rq->update_mask, "group", rq->group[0] != '\0')) {
		if (!str_copy(d->group, sizeof(d->group), rq->group) || !name_is_valid(d->group))
			return mutation_fail(m, CALL_NOT_FOUND, "GROUP_NOT_FOUND",
			                     "list groups to see what there is",
			                     "there is no group %.80s", rq->group);
		mutation_note(m, "%.100sgroup=%s ", m->detail[0] != '\0' ? "name, " : "", d->group);
	}
	if (field_masked(rq->update_mask, "labels", rq->n_labels > 0)) {
		err = edit_labels(m, d, rq);
		if (m->detail[0] == '\0')
			mutation_note(m, "labels");
	}
	return err;
}

static int update_device(struct call *c, const ProtobufCMessage *request)
{
	static const char *const fields[] = {"name", "group", "labels", NULL};
	const Causeway__V1__UpdateDeviceRequest *rq = (const void *)request;
	struct change ch = {
		.text = rq->device, .etag = rq->etag, .rq = request, .edit = edit_update};
	int err = mask_is_known(c, rq->update_mask, fields);

	return err != 0 ? err : run_change(c, &ch, apply_change);
}

/* ---- approve, credentials, pin ---- */

static int edit_approve(struct mutation *m, struct store_device *d, const struct change *ch)
{
	(void)m;
	(void)ch;
	d->state = DEVICE_APPROVED;
	return 0;
}

static int approve_device(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ApproveDeviceRequest *rq = (const void *)request;
	struct change ch = {.text = rq->device, .etag = "", .rq = request, .edit = edit_approve};

	return run_change(c, &ch, apply_change);
}

static int set_account(struct mutation *m, struct credential *out, const char *user,
                       const char *password, size_t max)
{
	if (user[0] == '\0' && password[0] != '\0')
		return mutation_fail(m, CALL_INVALID_ARGUMENT, "USER_INVALID",
		                     "give both, or neither to remove the account",
		                     "there is a password but no user");
	secret_zero(out, sizeof(*out));
	mutation_note(m, "%s", user[0] != '\0' ? "set" : "removed");
	if (user[0] == '\0')
		return 0;
	if (!user_is_valid(user))
		return mutation_fail(m, CALL_INVALID_ARGUMENT, "USER_INVALID",
		                     "give 1 to 64 printable ASCII characters",
		                     "the user is too long or has other characters");
	if (!password_is_valid(password, max))
		return mutation_fail(m, CALL_INVALID_ARGUMENT, "PASSWORD_INVALID",
		                     "give printable ASCII characters: an AMT password 1 to 128, a "
		                     "CIRA password 1 to 64",
		                     "the password is empty, too long or has other characters");
	(void)str_copy(out->user, sizeof(out->user), user);
	(void)str_copy(out->password, sizeof(out->password), password);
	return 0;
}

static int edit_amt(struct mutation *m, struct store_device *d, const struct change *ch)
{
	const Causeway__V1__SetDeviceCredentialsRequest *rq = (const void *)ch->rq;

	return set_account(m, &d->amt, rq->user, rq->password, AMT_PASSWORD_MAX);
}

static int set_credentials(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__SetDeviceCredentialsRequest *rq = (const void *)request;
	struct change ch = {.text = rq->device, .etag = "", .rq = request, .edit = edit_amt};

	return run_change(c, &ch, apply_change);
}

static int edit_cira(struct mutation *m, struct store_device *d, const struct change *ch)
{
	const Causeway__V1__SetDeviceCiraCredentialsRequest *rq = (const void *)ch->rq;

	return set_account(m, &d->cira, rq->user, rq->password, CIRA_PASSWORD_MAX);
}

static int set_cira_credentials(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__SetDeviceCiraCredentialsRequest *rq = (const void *)request;
	struct change ch = {.text = rq->device, .etag = "", .rq = request, .edit = edit_cira};

	return run_change(c, &ch, apply_change);
}

static int edit_unpin(struct mutation *m, struct store_device *d, const struct change *ch)
{
	(void)m;
	(void)ch;
	d->pinned = false;
	memset(d->pin_sha256, 0, sizeof(d->pin_sha256));
	return 0;
}

static int unpin_certificate(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__UnpinDeviceCertificateRequest *rq = (const void *)request;
	struct change ch = {.text = rq->device, .etag = "", .rq = request, .edit = edit_unpin};

	return run_change(c, &ch, apply_change);
}

/* ---- delete ---- */

static int apply_delete(struct mutation *m, struct store_txn *txn, void *arg)
{
	struct change *ch = arg;
	Causeway__V1__DeleteDeviceResponse empty = CAUSEWAY__V1__DELETE_DEVICE_RESPONSE__INIT;
	struct store_device *d = calloc(1, sizeof(*d));
	int err = d != NULL ? load(m, txn, ch, d) : -ERR_NOMEM;

	if (d != NULL)
		secret_zero(d, sizeof(*d));
	free(d);
	if (err == 0)
		err = store_device_delete(txn, &ch->key);
	return err == 0 ? mutation_respond(m, &empty.base) : err;
}

static int delete_device(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__DeleteDeviceRequest *rq = (const void *)request;
	struct change ch = {.text = rq->device, .etag = rq->etag, .rq = request};
	int err = run_change(c, &ch, apply_delete);

	if (ch.done) {
		struct pending_power dropped;

		(void)pending_remove(api_of(c)->pending, &ch.key, &dropped);
		if (gateway_disconnect(api_of(c)->gateway, &ch.key) == 0)
			log_event(LOG_INFO, "deleted_device_disconnected",
			          LOG_GUID("device", &ch.key.guid));
	}
	return err;
}

#define DEVICE &causeway__v1__device__descriptor

static const struct service_method methods[] = {
	{"GetDevice", &causeway__v1__get_device_request__descriptor, DEVICE, get_device},
	{"ListDevices", &causeway__v1__list_devices_request__descriptor,
         &causeway__v1__list_devices_response__descriptor, list_devices},
	{"UpdateDevice", &causeway__v1__update_device_request__descriptor, DEVICE, update_device},
	{"DeleteDevice", &causeway__v1__delete_device_request__descriptor,
         &causeway__v1__delete_device_response__descriptor, delete_device},
	{"ApproveDevice", &causeway__v1__approve_device_request__descriptor, DEVICE,
         approve_device},
	{"SetDeviceCredentials", &causeway__v1__set_device_credentials_request__descriptor, DEVICE,
         set_credentials},
	{"SetDeviceCiraCredentials", &causeway__v1__set_device_cira_credentials_request__descriptor,
         DEVICE, set_cira_credentials},
	{"UnpinDeviceCertificate", &causeway__v1__unpin_device_certificate_request__descriptor,
         DEVICE, unpin_certificate},
	{"WatchDevices", &causeway__v1__watch_devices_request__descriptor,
         &causeway__v1__watch_devices_response__descriptor, watch_devices},
	{"ExplainDevice", &causeway__v1__explain_device_request__descriptor,
         &causeway__v1__explain_device_response__descriptor, explain_device},
};

const struct service devices_service = {"causeway.v1.DeviceService", methods, ARRAY_LEN(methods),
                                        false};
