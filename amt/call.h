/* SPDX-License-Identifier: GPL-3.0-or-later */
/* call.h: one WSMAN request and its answer, as amt/'s functions use it. In a fiber on the tunnel's worker. */
#pragma once

#include "amt/amt.h"
#include "wire/wsman.h"

/*
 * amt_call: sends rq (its message_id is set here) and reads the answer into out (wsman_free it after 0). A fault is -ERR_FAULT or a nearer
 * error with why filled; so is a return value that is not 0 when judge is set.
 */
int amt_call(struct tunnel *t, struct wsman_request *rq, bool judge, struct wsman_message *out,
             struct amt_error *why) MUST_CHECK;

/* amt_call_get / amt_call_pull_all: the usual reads. item gets each instance; it returns 0 to go on, 1 to stop, negative to fail. */
int amt_call_get(struct tunnel *t, const char *resource_uri, struct wsman_message *out,
                 struct amt_error *why) MUST_CHECK;
typedef int amt_node_fn(void *arg, const struct xml_node *instance);
int amt_call_enumerate(struct tunnel *t, const struct wsman_request *base, amt_node_fn *item,
                       void *arg, struct amt_error *why) MUST_CHECK;

#define AMT_SCHEMA "http://intel.com/wbem/wscim/1/amt-schema/1/"
#define CIM_SCHEMA "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
#define IPS_SCHEMA "http://intel.com/wbem/wscim/1/ips-schema/1/"
