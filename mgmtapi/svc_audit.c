/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc_audit.c: AuditService. A caller with group limits reads what it did itself and what was done to its groups and their devices, as the
 * devices are now.
 */
#include "causeway/v1/audit.pb-c.h"
#include "core/err.h"
#include "mgmtapi/api_internal.h"
#include "mgmtapi/filter.h"

#include <string.h>

#define SCAN_MAX 20000 /* records looked at for one page; then a short page with a token */

enum { FIELD_PRINCIPAL, FIELD_METHOD, FIELD_RESOURCE, FIELD_REQUEST_ID, FIELD_OUTCOME };

static const struct filter_field fields[] = {
	[FIELD_PRINCIPAL] = {.name = "principal"}, [FIELD_METHOD] = {.name = "method"},
	[FIELD_RESOURCE] = {.name = "resource"},   [FIELD_REQUEST_ID] = {.name = "request_id"},
	[FIELD_OUTCOME] = {.name = "outcome"},
};

static const struct filter_schema schema = {fields, ARRAY_LEN(fields)};

static const char *value_of(const void *record, const struct filter_cond *cond,
                            char scratch[FILTER_SCRATCH])
{
	const struct store_audit *a = record;
	const char *const values[] = {a->principal, a->method, a->resource, a->request_id,
	                              a->outcome};

	(void)scratch;
	return values[cond->field];
}

struct listing {
	struct call *c;
	struct msg_mem mem;
	struct filter *filter;
	Causeway__V1__AuditRecord **list;
	size_t len, max, scanned;
	uint64_t start_ms, end_ms, last;
	struct span after;
	bool more;
};

static bool sees(struct call *c, const struct store_audit *a)
{
	const struct principal *p = call_principal(c);
	struct device_key key;

	if (p->groups_len == 0 || strcmp(p->name, a->principal) == 0)
		return true;
	if (strncmp(a->resource, "groups/", 7) == 0)
		return principal_sees_group((void *)(uintptr_t)p, a->resource + 7);
	return strncmp(a->resource, "devices/", 8) == 0 &&
	       device_key_parse(span_str(a->resource + 8), &key) == 0 && sees_device(c, &key);
}

static Causeway__V1__AuditRecord *record_msg(struct msg_mem *m, const struct store_audit *a)
{
	Causeway__V1__AuditRecord *out = msg_take(m, sizeof(*out));

	if (out == NULL)
		return NULL;
	causeway__v1__audit_record__init(out);
	out->sequence = a->seq;
	out->record_time = msg_time(m, a->time_ms);
	out->principal = msg_text(m, a->principal);
	out->method = msg_text(m, a->method);
	out->resource = msg_text(m, a->resource);
	out->request_id = msg_text(m, a->request_id);
	out->outcome = msg_text(m, a->outcome);
	out->detail = msg_text(m, a->detail);
	return m->failed ? NULL : out;
}

static int list_one(void *arg, struct span key, const void *record)
{
	struct listing *l = arg;
	const struct store_audit *a = record;

	(void)key;
	if (l->len == l->max || l->scanned == SCAN_MAX) {
		l->more = true;
		return 1;
	}
	l->scanned++;
	l->last = a->seq;
	/* No end at start_ms: a clock that was set back would hide what is older. */
	if (a->time_ms < l->start_ms || (l->end_ms != 0 && a->time_ms >= l->end_ms) ||
	    !filter_matches(l->filter, value_of, a) || !sees(l->c, a))
		return 0;
	l->list[l->len] = record_msg(&l->mem, a);
	if (l->list[l->len] == NULL)
		return -ERR_NOMEM;
	l->len++;
	return 0;
}

static int view_audit(struct store_txn *txn, void *arg)
{
	struct listing *l = arg;

	return store_each(txn, STORE_AUDIT, l->after, true, list_one, l);
}

static int read_filter(struct call *c, const Causeway__V1__ListAuditRecordsRequest *rq,
                       struct listing *l)
{
	struct buf why;
	int err;

	if (!msg_time_read(rq->start_time, &l->start_ms) ||
	    !msg_time_read(rq->end_time, &l->end_ms))
		return call_fail(c, CALL_INVALID_ARGUMENT, "TIME_INVALID", "years 1970 to 9999",
		                 "start_time or end_time is out of range");
	buf_init(&why, CALL_MESSAGE_MAX);
	err = filter_parse(rq->filter, &schema, l->filter, &why);
	if (err != 0)
		err = call_fail(c, CALL_INVALID_ARGUMENT, "FILTER_INVALID",
		                "conditions FIELD=VALUE joined by AND, * for any text", "%s",
		                buf_cstr(&why));
	buf_free(&why);
	return err;
}

static int list_records(struct call *c, const ProtobufCMessage *request)
{
	const Causeway__V1__ListAuditRecordsRequest *rq = (const void *)request;
	Causeway__V1__ListAuditRecordsResponse out =
		CAUSEWAY__V1__LIST_AUDIT_RECORDS_RESPONSE__INIT;
	struct listing l = {
		.c = c, .mem = msg_mem_of(call_allocator(c)), .max = page_size(rq->page_size)};
	uint8_t position[PAGE_POSITION_MAX], last[8];
	size_t len;
	int err;

	l.filter = call_alloc(c, sizeof(*l.filter));
	l.list = call_alloc(c, l.max * sizeof(*l.list));
	if (l.filter == NULL || l.list == NULL)
		return no_memory(c);
	err = read_filter(c, rq, &l);
	if (err == 0)
		err = page_open(c, rq->filter, rq->page_token, position, &len);
	if (err != 0)
		return err;
	l.after = span_of(position, len);
	err = store_view(api_of(c)->store, view_audit, &l);
	if (err < 0)
		return err == -ERR_NOMEM ? no_memory(c) : call_fail_err(c, err, "the audit trail");
	out.records = l.list;
	out.n_records = l.len;
	for (unsigned i = 0; i < 8; i++)
		last[i] = (uint8_t)(l.last >> (56 - 8 * i));
	if (l.more)
		out.next_page_token = page_close(c, rq->filter, span_of(last, sizeof(last)));
	return out.next_page_token != NULL ? call_send(c, &out.base) : no_memory(c);
}

static const struct service_method methods[] = {
	{"ListAuditRecords", &causeway__v1__list_audit_records_request__descriptor,
         &causeway__v1__list_audit_records_response__descriptor, list_records},
};

const struct service audit_service = {"causeway.v1.AuditService", methods, ARRAY_LEN(methods),
                                      false};
