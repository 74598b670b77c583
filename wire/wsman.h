/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wsman.h: WS-Management messages as AMT speaks them (amt.md A.5-A.8): writing requests, reading
 * requests and responses, faults, return values. Pure text in and out. One thread at a time.
 */
#pragma once

#include "core/base.h"
#include "core/buf.h"
#include "wire/xml.h"

#define WSMAN_SELECTORS_MAX   16  /* of one request */
#define WSMAN_URI_MAX         256 /* octets of a resource URI with NUL */
#define WSMAN_TIMEOUT_S       60  /* default; the firmware enforces at least 30 (amt.md A.1) */
#define WSMAN_PULL_ELEMENTS   999 /* what the peers ask for (amt.md A.5) */
#define WSMAN_PULL_CHARACTERS 99999
#define WSMAN_REQUEST_MAX     (256 * 1024) /* octets of a request that wsman_write makes */

#define WSMAN_NS_SOAP  "http://www.w3.org/2003/05/soap-envelope"
#define WSMAN_NS_WSA   "http://schemas.xmlsoap.org/ws/2004/08/addressing"
#define WSMAN_NS_WSMAN "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
#define WSMAN_NS_WXF   "http://schemas.xmlsoap.org/ws/2004/09/transfer"
#define WSMAN_NS_WSEN  "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
#define WSMAN_NS_WSE   "http://schemas.xmlsoap.org/ws/2004/08/eventing"
#define WSMAN_NS_WST   "http://schemas.xmlsoap.org/ws/2005/02/trust"
#define WSMAN_NS_WSSE \
	"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
#define WSMAN_NS_CIMBIND "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd"
#define WSMAN_NS_COMMON  "http://schemas.dmtf.org/wbem/wscim/1/common"
#define WSMAN_NS_XSI     "http://www.w3.org/2001/XMLSchema-instance"
#define WSMAN_ANONYMOUS  WSMAN_NS_WSA "/role/anonymous"

/* ---- requests -------------------------------------------------------------------------------- */

enum wsman_op {
	WSMAN_GET,
	WSMAN_PUT,
	WSMAN_CREATE,
	WSMAN_DELETE,
	WSMAN_ENUMERATE,
	WSMAN_PULL,
	WSMAN_RELEASE,
	WSMAN_INVOKE,
};

struct wsman_epr;

struct wsman_selector {
	const char *name;
	const char *value;           /* or: */
	const struct wsman_epr *epr; /* a selector whose value is itself a reference */
};

/* An endpoint reference: which instance of which class. */
struct wsman_epr {
	const char *resource_uri;
	const struct wsman_selector *selectors;
	size_t selectors_len;
};

struct wsman_request {
	enum wsman_op op;
	const char *resource_uri;
	uint64_t message_id;
	unsigned timeout_s; /* 0: WSMAN_TIMEOUT_S */
	const struct wsman_selector *selectors;
	size_t selectors_len;
	const char *method; /* Invoke: without _INPUT */
	/*
	 * Put, Create: the instance; Invoke: <method>_INPUT, empty for no parameters. One well-formed
	 * element, trusted: from wsman_body_..., or through xml_normalize.
	 */
	struct span body;
	struct span context;   /* Pull, Release */
	unsigned max_elements; /* Pull; 0: WSMAN_PULL_ELEMENTS */
};

/*
 * wsman_write(b, req): appends the whole envelope. 0; -ERR_INVALID: a part is missing, a name is
 * not one, a selector is nested deeper than one reference, or text that XML cannot carry; or b's
 * error.
 */
int wsman_write(struct buf *b, const struct wsman_request *req);

/*
 * wsman_resource_uri(class_name, b): appends the namespace of a class by its prefix AMT_, CIM_ or
 * IPS_ (amt.md A.5). 0, or -ERR_INVALID for another prefix or characters that a class name does not
 * have.
 */
int wsman_resource_uri(const char *class_name, struct buf *b);

/* wsman_resource_text(class_name, out): the same into an array. */
int wsman_resource_text(const char *class_name, char out[WSMAN_URI_MAX]);

/* wsman_class_of(resource_uri): the class name at its end. */
const char *wsman_class_of(const char *resource_uri);

/*
 * The body of Put, Create and Invoke: begin with the resource URI and the element (the class, or
 * <method>_INPUT), then the members, then end with the same element. Names are trusted, values
 * escaped. Arrays are repeated members.
 */
void wsman_body_begin(struct buf *b, const char *resource_uri, const char *element);
void wsman_body_end(struct buf *b, const char *element);
void wsman_body_text(struct buf *b, const char *name, const char *value);
void wsman_body_span(struct buf *b, const char *name, struct span value);
void wsman_body_uint(struct buf *b, const char *name, uint64_t value);
void wsman_body_bool(struct buf *b, const char *name, bool value);
void wsman_body_base64(struct buf *b, const char *name, struct span value);
void wsman_body_epr(struct buf *b, const char *name, const struct wsman_epr *epr);
void wsman_body_datetime(struct buf *b, const char *name,
                         const char *utc); /* YYYY-MM-DDThh:mm:ssZ */
void wsman_body_interval(struct buf *b, const char *name, const char *duration); /* P..DT..H..M */

/*
 * wsman_body_member(b, node): a member of an instance that was read, with children and attributes,
 * for read-modify-write.
 */
void wsman_body_member(struct buf *b, const struct xml_node *node);

/* ---- messages that were read ----------------------------------------------------------------- */

enum wsman_fault_kind {
	WSMAN_FAULT_NONE,
	WSMAN_FAULT_ABSENT, /* class, instance or operation is not there (amt.md A.7) */
	WSMAN_FAULT_EXISTS,
	WSMAN_FAULT_DENIED,
	WSMAN_FAULT_INVALID, /* the request's parameters, selectors or representation */
	WSMAN_FAULT_CONTEXT, /* the enumeration context has ended: enumerate again */
	WSMAN_FAULT_BUSY,    /* worth another try later */
	WSMAN_FAULT_OTHER,
};

/* Strings live as long as the message; "" where missing. */
struct wsman_fault {
	enum wsman_fault_kind kind;
	bool sender;         /* the sender's fault, not the receiver's */
	const char *ns;      /* of the subcode */
	const char *subcode; /* local name */
	const char *reason;
	const char *detail; /* text of the detail's first leaf */
};

/* Strings live as long as the message; NULL where missing. */
struct wsman_message {
	struct xml_doc doc;
	const struct xml_node *header; /* may be NULL */
	const struct xml_node *body;   /* first element in the Body; NULL: empty */
	const char *action;
	const char *to;
	const char *message_id;
	const char *relates_to;
	const char *resource_uri;
	struct wsman_fault fault; /* kind WSMAN_FAULT_NONE: not a fault */
};

/*
 * wsman_read(m, text, limits): reads an envelope of either direction. 0: m is filled, a fault too
 * (look at m->fault.kind); errors as xml_parse, and -ERR_PROTOCOL for XML that is no SOAP 1.2
 * envelope; m->doc.error says why. After success wsman_free.
 */
int wsman_read(struct wsman_message *m, struct span text, const struct xml_limits *limits);
void wsman_free(struct wsman_message *m);

/*
 * wsman_check(m, message_id): what a client has to know before it uses a response: 0; -ERR_PROTOCOL
 * if it relates to another request; or the fault's error.
 */
int wsman_check(const struct wsman_message *m, uint64_t message_id);

/*
 * wsman_fault_err: ABSENT -ERR_UNSUPPORTED, EXISTS -ERR_EXISTS, DENIED -ERR_DENIED, INVALID
 * -ERR_INVALID, BUSY -ERR_BUSY, others -ERR_FAULT, NONE 0.
 */
int wsman_fault_err(const struct wsman_fault *fault);

/* wsman_fault_retryable: the same request may succeed later. */
bool wsman_fault_retryable(const struct wsman_fault *fault);

/* wsman_selector(m, name): the text of a selector in the header of a request, or NULL. */
const char *wsman_selector(const struct wsman_message *m, const char *name);

/*
 * wsman_return_value(m, out): 0; -ERR_NOT_FOUND: the body is no method's output or has none;
 * -ERR_INVALID.
 */
int wsman_return_value(const struct wsman_message *m, uint32_t *out);

/*
 * Enumeration: the context of an EnumerateResponse or PullResponse, or NULL; the first item (go on
 * with ->next); the end.
 */
const char *wsman_context(const struct wsman_message *m);
const struct xml_node *wsman_items(const struct wsman_message *m);
bool wsman_end_of_sequence(const struct wsman_message *m);

/* ---- names of numbers ------------------------------------------------------------------------ */

/* wsman_status_name(n): PT_STATUS, "NOT_PERMITTED" for 16; NULL if unknown (amt.md A.8). */
const char *wsman_status_name(uint32_t n);

/* wsman_cim_status_name(n): what CIM methods return: 0..6 and 4096..4099; NULL if unknown. */
const char *wsman_cim_status_name(uint32_t n);

/*
 * wsman_return_name(resource_uri, method, n): from the table that the method's values come from:
 * CIM's for classes of CIM and for the Request...StateChange methods, PT_STATUS for the rest;
 * "unknown" if it is not there. The own small enums of IPS_HostBasedSetupService and
 * IPS_OptInService are not here.
 */
const char *wsman_return_name(const char *resource_uri, const char *method, uint32_t n);
