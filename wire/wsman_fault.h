/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wsman_fault.h: inside of wire/wsman only: a SOAP fault element into struct wsman_fault. */
#pragma once

#include "wire/wsman.h"

/*
 * wsman_fault_read(node, out): node is soap:Fault. Always fills out, with kind WSMAN_FAULT_OTHER if
 * nothing is known.
 */
void wsman_fault_read(const struct xml_node *node, struct wsman_fault *out);
