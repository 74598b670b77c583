/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * wsman_fault.c: SOAP faults (amt.md A.7; subcodes of DSP0226 and of the WS-* it uses) and names of
 * return values (A.8).
 */
#include "wire/wsman_fault.h"
#include "core/err.h"

#include <string.h>

static const struct {
	const char *ns, *subcode;
	enum wsman_fault_kind kind;
} kinds[] = {
	{WSMAN_NS_WSA, "DestinationUnreachable", WSMAN_FAULT_ABSENT},
	{WSMAN_NS_WSA, "ActionNotSupported", WSMAN_FAULT_ABSENT},
	{WSMAN_NS_WSA, "EndpointUnavailable", WSMAN_FAULT_BUSY},
	{WSMAN_NS_WSA, "InvalidMessageInformationHeader", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSA, "MessageInformationHeaderRequired", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSMAN, "AccessDenied", WSMAN_FAULT_DENIED},
	{WSMAN_NS_WSMAN, "AlreadyExists", WSMAN_FAULT_EXISTS},
	{WSMAN_NS_WSMAN, "CannotProcessFilter", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSMAN, "Concurrency", WSMAN_FAULT_BUSY},
	{WSMAN_NS_WSMAN, "EncodingLimit", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSMAN, "InvalidOptions", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSMAN, "InvalidParameter", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSMAN, "InvalidResourceURI", WSMAN_FAULT_ABSENT},
	{WSMAN_NS_WSMAN, "InvalidSelectors", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSMAN, "NotSupported", WSMAN_FAULT_ABSENT},
	{WSMAN_NS_WSMAN, "QuotaLimit", WSMAN_FAULT_BUSY},
	{WSMAN_NS_WSMAN, "SchemaValidationError", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSMAN, "TimedOut", WSMAN_FAULT_BUSY},
	{WSMAN_NS_WSMAN, "UnsupportedFeature", WSMAN_FAULT_ABSENT},
	{WSMAN_NS_WXF, "InvalidRepresentation", WSMAN_FAULT_INVALID},
	{WSMAN_NS_WSEN, "InvalidEnumerationContext", WSMAN_FAULT_CONTEXT},
	{WSMAN_NS_WSEN, "TimedOut", WSMAN_FAULT_CONTEXT},
};

static enum wsman_fault_kind kind_of(const char *ns, const char *subcode)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].subcode, subcode) == 0 && strcmp(kinds[i].ns, ns) == 0)
			return kinds[i].kind;
	return WSMAN_FAULT_OTHER;
}

/* The first text on the way down the first children, for instance of Detail/FaultDetail. */
static const char *first_leaf_text(const struct xml_node *node)
{
	while (node != NULL && node->text[0] == '\0' && node->child != NULL)
		node = node->child;
	return node != NULL ? node->text : "";
}

/* Resolves the QName in node's text; both results are "" without one. */
static void read_qname(const struct xml_node *node, const char **ns, const char **local)
{
	*ns = *local = "";
	if (node != NULL)
		*ns = xml_resolve(node, node->text, local);
}

void wsman_fault_read(const struct xml_node *node, struct wsman_fault *out)
{
	const struct xml_node *code = xml_child_ns(node, WSMAN_NS_SOAP, "Code");
	const struct xml_node *sub = xml_child_ns(code, WSMAN_NS_SOAP, "Subcode");
	const char *ns, *local;

	read_qname(xml_child_ns(code, WSMAN_NS_SOAP, "Value"), &ns, &local);
	out->sender = strcmp(ns, WSMAN_NS_SOAP) == 0 && strcmp(local, "Sender") == 0;
	read_qname(xml_child_ns(sub, WSMAN_NS_SOAP, "Value"), &out->ns, &out->subcode);
	out->reason = first_leaf_text(xml_child_ns(node, WSMAN_NS_SOAP, "Reason"));
	out->detail = first_leaf_text(xml_child_ns(node, WSMAN_NS_SOAP, "Detail"));
	out->kind = kind_of(out->ns, out->subcode);
}

int wsman_fault_err(const struct wsman_fault *fault)
{
	switch (fault->kind) {
	case WSMAN_FAULT_NONE:
		return 0;
	case WSMAN_FAULT_ABSENT:
		return -ERR_UNSUPPORTED;
	case WSMAN_FAULT_EXISTS:
		return -ERR_EXISTS;
	case WSMAN_FAULT_DENIED:
		return -ERR_DENIED;
	case WSMAN_FAULT_INVALID:
		return -ERR_INVALID;
	case WSMAN_FAULT_BUSY:
		return -ERR_BUSY;
	case WSMAN_FAULT_CONTEXT:
	case WSMAN_FAULT_OTHER:
		break;
	}
	return -ERR_FAULT;
}

bool wsman_fault_retryable(const struct wsman_fault *fault)
{
	return fault->kind == WSMAN_FAULT_BUSY;
}

/* ---- return values --------------------------------------------------------------------------- */

struct status {
	uint32_t value;
	const char *name;
};

static const char *const low_names[] = {
	"SUCCESS",
	"INTERNAL_ERROR",
	"NOT_READY",
	"INVALID_PT_MODE",
	"INVALID_MESSAGE_LENGTH",
	"TABLE_FINGERPRINT_NOT_AVAILABLE",
	"INTEGRITY_CHECK_FAILED",
	"UNSUPPORTED_ISVS_VERSION",
	"APPLICATION_NOT_REGISTERED",
	"INVALID_REGISTRATION_DATA",
	"APPLICATION_DOES_NOT_EXIST",
	"NOT_ENOUGH_STORAGE",
	"INVALID_NAME",
	"BLOCK_DOES_NOT_EXIST",
	"INVALID_BYTE_OFFSET",
	"INVALID_BYTE_COUNT",
	"NOT_PERMITTED",
	"NOT_OWNER",
	"BLOCK_LOCKED_BY_OTHER",
	"BLOCK_NOT_LOCKED",
	"INVALID_GROUP_PERMISSIONS",
	"GROUP_DOES_NOT_EXIST",
	"INVALID_MEMBER_COUNT",
	"MAX_LIMIT_REACHED",
	"INVALID_AUTH_TYPE",
	"AUTHENTICATION_FAILED",
	"INVALID_DHCP_MODE",
	"INVALID_IP_ADDRESS",
	"INVALID_DOMAIN_NAME",
	"UNSUPPORTED_VERSION",
	"REQUEST_UNEXPECTED",
	"INVALID_TABLE_TYPE",
	"INVALID_PROVISIONING_STATE",
	"UNSUPPORTED_OBJECT",
	"INVALID_TIME",
	"INVALID_INDEX",
	"INVALID_PARAMETER",
	"INVALID_NETMASK",
	"FLASH_WRITE_LIMIT_EXCEEDED",
	"INVALID_IMAGE_LENGTH",
	"INVALID_IMAGE_SIGNATURE",
	"PROPOSE_ANOTHER_VERSION",
	"INVALID_PID_FORMAT",
	"INVALID_PPS_FORMAT",
	"BIST_COMMAND_BLOCKED",
	"CONNECTION_FAILED",
	"CONNECTION_TOO_MANY",
	"RNG_GENERATION_IN_PROGRESS",
	"RNG_NOT_READY",
	"CERTIFICATE_NOT_READY",
};

static const struct status high_names[] = {
	{512, "REMOTE_ACCESS_NOT_GRANTED"},
	{513, "REMOTE_ACCESS_HOST_VPN_IS_DISABLED"},
	{514, "REMOTE_ACCESS_GRANTED_WITHOUT_DDNS"},
	{515, "REMOTE_ACCESS_GRANTED_WITH_DDNS"},
	{1024, "DISABLED_BY_POLICY"},
	{2048, "NETWORK_IF_ERROR_BASE"},
	{2049, "UNSUPPORTED_OEM_NUMBER"},
	{2050, "UNSUPPORTED_BOOT_OPTION"},
	{2051, "INVALID_COMMAND"},
	{2052, "INVALID_SPECIAL_COMMAND"},
	{2053, "INVALID_HANDLE"},
	{2054, "INVALID_PASSWORD"},
	{2055, "INVALID_REALM"},
	{2056, "STORAGE_ACL_ENTRY_IN_USE"},
	{2057, "DATA_MISSING"},
	{2058, "DUPLICATE"},
	{2059, "EVENTLOG_FROZEN"},
	{2060, "PKI_MISSING_KEYS"},
	{2061, "PKI_GENERATING_KEYS"},
	{2062, "INVALID_KEY"},
	{2063, "INVALID_CERT"},
	{2064, "CERT_KEY_NOT_MATCH"},
	{2065, "MAX_KERB_DOMAIN_REACHED"},
	{2066, "UNSUPPORTED"},
	{2067, "INVALID_PRIORITY"},
	{2068, "NOT_FOUND"},
	{2069, "INVALID_CREDENTIALS"},
	{2070, "INVALID_PASSPHRASE"},
	{2072, "NO_ASSOCIATION"},
	{2075, "AUDIT_FAIL"},
	{2076, "BLOCKING_COMPONENT"},
	{2081, "USER_CONSENT_REQUIRED"},
	{2082, "OPERATION_IN_PROGRESS"},
	{2500, "IPV6_INTERFACE_DISABLED"},
	{2501, "INTERFACE_DOES_NOT_EXIST"},
};

static const struct status cim_names[] = {
	{0, "COMPLETED"},
	{1, "NOT_SUPPORTED"},
	{2, "UNKNOWN_OR_INVALID_STATE"},
	{3, "TIMEOUT"},
	{4, "FAILED"},
	{5, "INVALID_PARAMETER"},
	{6, "IN_USE"},
	{4096, "JOB_STARTED"},
	{4097, "INVALID_STATE_TRANSITION"},
	{4098, "TIMEOUT_PARAMETER_NOT_SUPPORTED"},
	{4099, "BUSY"},
};

static const char *name_in(const struct status *table, size_t n, uint32_t value)
{
	for (size_t i = 0; i < n; i++)
		if (table[i].value == value)
			return table[i].name;
	return NULL;
}

const char *wsman_status_name(uint32_t n)
{
	if (n < ARRAY_LEN(low_names))
		return low_names[n];
	return name_in(high_names, ARRAY_LEN(high_names), n);
}

const char *wsman_cim_status_name(uint32_t n)
{
	return name_in(cim_names, ARRAY_LEN(cim_names), n);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

const char *wsman_return_name(const char *resource_uri, const char *method, uint32_t n)
{
	bool cim = strncmp(wsman_class_of(resource_uri), "CIM_", 4) == 0 ||
	           ends_with(method, "StateChange");
	const char *name = cim ? wsman_cim_status_name(n) : wsman_status_name(n);

	/* A name from the other table tells more than none. */
	if (name == NULL)
		name = cim ? wsman_status_name(n) : wsman_cim_status_name(n);
	return name != NULL ? name : "unknown";
}
