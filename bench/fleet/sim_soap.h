/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sim_soap.h: SOAP requests as firmware reads them, and answers byte for byte as it writes them (amt.md A.5 to A.7).
 * References and members are in the text form of sim_cim.h. Pure.
 */
#pragma once

#include "bench/fleet/sim_cim.h"

#define SIM_SOAP_BODY_MAX     (64UL * 1024)
#define SIM_SOAP_RESPONSE_MAX (512UL * 1024)
#define SIM_SOAP_URI_MAX      256
#define SIM_SOAP_DEPTH_MAX    16

struct sim_soap_request {
	char action[SIM_SOAP_URI_MAX];
	char message_id[SIM_SOAP_URI_MAX];
	char resource[SIM_SOAP_URI_MAX];
	char body_name[SIM_CIM_NAME_MAX]; /* local name of the body's child; "" for an empty body */
	struct buf selectors;             /* lines */
	struct buf params;                /* lines: members, or a method's parameters */
};

/* sim_soap_read: 0, -ERR_CORRUPT (not XML, no envelope), -ERR_TOO_BIG. Free with sim_soap_request_free in either case. */
int sim_soap_read(struct span xml, struct sim_soap_request *out) MUST_CHECK;
void sim_soap_request_free(struct sim_soap_request *r);

struct sim_soap_answer {
	const struct sim_soap_request *request;
	uint64_t message_number;
	const char *g_uri;   /* namespace of prefix g; NULL none */
	const char *h_class; /* class whose namespace is h; NULL none */
	bool common;         /* declares the common namespace as the next letter */
};

/* sim_soap_begin / sim_soap_end: everything around the body's content. */
void sim_soap_begin(struct buf *b, const struct sim_soap_answer *a);
void sim_soap_end(struct buf *b);

/* sim_soap_put_instance: an element named cls with the members of text, in namespace prefix (and common for dates). */
void sim_soap_put_instance(struct buf *b, const char *cls, char prefix, char common,
                           struct span text);
/* sim_soap_put_members: the members alone. */
void sim_soap_put_members(struct buf *b, char prefix, char common, struct span text);
/* sim_soap_put_reference: b:Address and b:ReferenceParameters for the mark and value of a reference ("@Class|k=v"). */
void sim_soap_put_reference(struct buf *b, struct span value);
void sim_soap_put_escaped(struct buf *b, struct span s);

enum sim_soap_fault {
	SIM_FAULT_UNREACHABLE,
	SIM_FAULT_ACTION,
	SIM_FAULT_EXISTS,
	SIM_FAULT_SELECTORS,
	SIM_FAULT_REPRESENTATION,
	SIM_FAULT_SCHEMA,
	SIM_FAULT_CONTEXT,
	SIM_FAULT_INTERNAL,
};
/* sim_soap_put_fault: a whole envelope with its own prefixes (amt.md A.7). */
void sim_soap_put_fault(struct buf *b, const struct sim_soap_request *r, uint64_t message_number,
                        enum sim_soap_fault f);

#define SIM_NS_ADDRESSING "http://schemas.xmlsoap.org/ws/2004/08/addressing"
#define SIM_NS_TRANSFER   "http://schemas.xmlsoap.org/ws/2004/09/transfer"
#define SIM_NS_ENUM       "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
#define SIM_NS_WSMAN      "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
#define SIM_NS_COMMON     "http://schemas.dmtf.org/wbem/wscim/1/common"
#define SIM_ANONYMOUS     SIM_NS_ADDRESSING "/role/anonymous"
