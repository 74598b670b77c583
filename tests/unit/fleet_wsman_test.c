/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulated firmware's WSMAN service: HTTP, digest and the shape of every kind of answer (amt.md A.2 to A.8). */
#include "bench/fleet/sim_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto.h"
#include "core/err.h"
#include "tests/unit/support/test.h"

#define CIM "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
#define AMT "http://intel.com/wbem/wscim/1/amt-schema/1/"
#define ENVELOPE_START                                                  \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope "        \
	"xmlns:a=\"http://www.w3.org/2003/05/soap-envelope\" "          \
	"xmlns:b=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" " \
	"xmlns:c=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" "   \
	"xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/02/trust\" "      \
	"xmlns:e=\"http://docs.oasis-open.org/wss/2004/01/"             \
	"oasis-200401-wss-wssecurity-secext-1.0.xsd\" "                 \
	"xmlns:f=\"http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd\" "
#define XSI "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
#define TO  "<b:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</b:To>"

struct rig {
	struct sim_facts facts;
	struct sim_power power;
	struct sim_wsman wsman;
	struct sim_digest digest;
	struct sim_http http;
	struct buf out;
	uint64_t now_ms;
};

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->facts = (struct sim_facts){
		.guid = {{0x44, 0x45, 0x4c, 0x4c, 0x39, 0x00, 0x10, 0x34, 0x80, 0x52, 0xb4, 0xc0,
	                  0x4f, 0x4e, 0x5a, 0x31}},
		.realm = "Digest:A3829B3827DE4D33D4449B366831FD01",
		.host = "amt01",
		.domain = "fleet.example",
		.mac = {2, 0, 0, 0, 0, 1},
		.serial = "CW000001",
		.address = "192.0.2.10",
	};
	r->now_ms = 5000;
	sim_power_init(&r->power, true, 100);
	sim_wsman_init(&r->wsman, &r->facts, &r->power);
	r->digest = (struct sim_digest){.user = "admin",
	                                .password = "P@ssw0rd",
	                                .realm = r->facts.realm,
	                                .qop = "auth",
	                                .lock_after = 3,
	                                .lock_ms = 1000};
	sim_http_init(&r->http, &r->wsman, &r->digest);
	buf_init(&r->out, SIM_SOAP_RESPONSE_MAX);
}

static void rig_free(struct rig *r)
{
	sim_wsman_free(&r->wsman);
	sim_http_free(&r->http);
	buf_free(&r->out);
}

/* Runs one operation; the answer is in r->out. */
static int call(struct rig *r, const char *resource, const char *action, const char *selectors,
                const char *body)
{
	struct buf xml;
	int status;

	buf_init(&xml, SIM_SOAP_BODY_MAX);
	buf_printf(&xml,
	           "<?xml version=\"1.0\"?><s:Envelope "
	           "xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" "
	           "xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" "
	           "xmlns:x=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\">"
	           "<s:Header><x:Action>%s</x:Action><x:To>/wsman</x:To><w:ResourceURI>%s</"
	           "w:ResourceURI>"
	           "<x:MessageID>17</x:MessageID>%s</s:Header><s:Body>%s</s:Body></s:Envelope>",
	           action, resource, selectors, body);
	buf_clear(&r->out);
	status = sim_wsman_handle(&r->wsman, buf_span(&xml), r->now_ms, &r->out);
	buf_free(&xml);
	return status;
}

static bool has(struct rig *r, const char *text)
{
	bool found = strstr(buf_cstr(&r->out), text) != NULL;

	if (!found)
		print_message("no '%s' in:\n%s\n", text, buf_cstr(&r->out));
	return found;
}

static int get(struct rig *r, const char *resource)
{
	return call(r, resource, SIM_NS_TRANSFER "/Get", "", "");
}

static void test_get_is_byte_faithful(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(get(&r, CIM "CIM_PowerManagementService"), 200);
	assert_string_equal(
		buf_cstr(&r.out), ENVELOPE_START
		"xmlns:g=\"" CIM "CIM_PowerManagementService\" "
		"xmlns:h=\"http://schemas.dmtf.org/wbem/wscim/1/common\" " XSI "<a:Header>" TO
		"<b:RelatesTo>17</b:RelatesTo><b:Action a:mustUnderstand=\"true\">"
		"http://schemas.xmlsoap.org/ws/2004/09/transfer/GetResponse</b:Action>"
		"<b:MessageID>uuid:00000000-8086-8086-8086-000000000001</b:MessageID>"
		"<c:ResourceURI>" CIM
		"CIM_PowerManagementService</c:ResourceURI></a:Header><a:Body>"
		"<g:CIM_PowerManagementService><g:CreationClassName>CIM_PowerManagementService"
		"</g:CreationClassName><g:ElementName>Intel(r) AMT Power Management "
		"Service</g:ElementName>"
		"<g:EnabledState>5</g:EnabledState><g:Name>Intel(r) AMT Power Management "
		"Service</g:Name>"
		"<g:RequestedState>12</g:RequestedState>"
		"<g:SystemCreationClassName>CIM_ComputerSystem</g:SystemCreationClassName>"
		"<g:SystemName>Intel(r) "
		"AMT</g:SystemName></g:CIM_PowerManagementService></a:Body></a:Envelope>");
	rig_free(&r);
}

static void test_enumerate_and_pull_a_superclass(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(call(&r, CIM "CIM_ServiceAvailableToElement", SIM_NS_ENUM "/Enumerate", "",
	                      "<e:Enumerate xmlns:e='x'/>"),
	                 200);
	assert_true(has(&r, "<a:Body><g:EnumerateResponse><g:EnumerationContext>14000000-0000-0000-"
	                    "0000-000000000000"
	                    "</g:EnumerationContext></g:EnumerateResponse></a:Body>"));
	assert_int_equal(call(&r, CIM "CIM_ServiceAvailableToElement", SIM_NS_ENUM "/Pull", "",
	                      "<e:Pull "
	                      "xmlns:e='x'><e:EnumerationContext>14000000-0000-0000-0000-"
	                      "000000000000</e:EnumerationContext>"
	                      "<e:MaxElements>999</e:MaxElements></e:Pull>"),
	                 200);
	assert_true(has(
		&r, "xmlns:g=\"http://schemas.xmlsoap.org/ws/2004/09/enumeration\" xmlns:h=\"" CIM
		    "CIM_AssociatedPowerManagementService\" " XSI));
	assert_true(has(&r,
	                "<g:PullResponse><g:Items><h:CIM_AssociatedPowerManagementService>"
	                "<h:AvailableRequestedPowerStates>10</h:AvailableRequestedPowerStates>"
	                "<h:AvailableRequestedPowerStates>8</h:AvailableRequestedPowerStates>"));
	assert_true(has(&r,
	                "<h:PowerState>2</h:PowerState><h:ServiceProvided><b:Address>" SIM_ANONYMOUS
	                "</b:Address><b:ReferenceParameters><c:ResourceURI>" CIM
	                "CIM_PowerManagementService</c:ResourceURI><c:SelectorSet><c:Selector "
	                "Name=\"CreationClassName\">"));
	assert_true(has(&r, "</g:Items><g:EndOfSequence></g:EndOfSequence></g:PullResponse>"));
	assert_int_equal(
		call(&r, CIM "CIM_ServiceAvailableToElement", SIM_NS_ENUM "/Pull", "",
	             "<e:Pull "
	             "xmlns:e='x'><e:EnumerationContext>14000000-0000-0000-0000-000000000000"
	             "</e:EnumerationContext></e:Pull>"),
		400);
	assert_true(has(&r, "<a:Value>c:InvalidEnumerationContext</a:Value>"));
	rig_free(&r);
}

static void test_pull_in_parts(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(call(&r, CIM "CIM_BootSourceSetting", SIM_NS_ENUM "/Enumerate", "", ""),
	                 200);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
			call(&r, CIM "CIM_BootSourceSetting", SIM_NS_ENUM "/Pull", "",
		             "<e:Pull "
		             "xmlns:e='x'><e:EnumerationContext>14000000-0000-0000-0000-"
		             "000000000000"
		             "</e:EnumerationContext><e:MaxElements>2</e:MaxElements></e:Pull>"),
			200);
		assert_int_equal(strstr(buf_cstr(&r.out), "EndOfSequence") != NULL, i == 1);
		assert_int_equal(strstr(buf_cstr(&r.out), "Force CD/DVD Boot") != NULL, i == 1);
	}
	rig_free(&r);
}

static void test_dates_use_common(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(get(&r, CIM "CIM_BIOSElement"), 200);
	assert_true(has(
		&r,
		"<g:ReleaseDate><h:Datetime>2021-03-15T00:00:00Z</h:Datetime></g:ReleaseDate>"));
	rig_free(&r);
}

static void test_device_facts(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(get(&r, AMT "AMT_GeneralSettings"), 200);
	assert_true(
		has(&r, "<g:DigestRealm>Digest:A3829B3827DE4D33D4449B366831FD01</g:DigestRealm>"));
	assert_true(has(&r, "<g:HostOSFQDN>amt01.fleet.example</g:HostOSFQDN>"));
	assert_null(strstr(buf_cstr(&r.out), "xmlns:h="));
	assert_int_equal(get(&r, CIM "CIM_ComputerSystemPackage"), 200);
	assert_true(has(&r, "<g:PlatformGUID>44454C4C390010348052B4C04F4E5A31</g:PlatformGUID>"));
	assert_int_equal(call(&r, AMT "AMT_SetupAndConfigurationService",
	                      AMT "AMT_SetupAndConfigurationService/GetUuid", "", ""),
	                 200);
	assert_true(has(&r, "<g:GetUuid_OUTPUT><g:UUID>REVMTDkAEDSAUrTAT05aMQ==</"
	                    "g:UUID><g:ReturnValue>0</g:ReturnValue>"));
	assert_int_equal(call(&r, AMT "AMT_EthernetPortSettings", SIM_NS_TRANSFER "/Get",
	                      "<w:SelectorSet><w:Selector Name=\"InstanceID\">Intel(r) AMT "
	                      "Ethernet Port Settings 0</w:Selector></w:SelectorSet>",
	                      ""),
	                 200);
	assert_true(has(&r, "<g:MACAddress>02-00-00-00-00-01</g:MACAddress>"));
	rig_free(&r);
}

static void test_fault_is_byte_faithful(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(get(&r, AMT "AMT_NoSuchThing"), 400);
	assert_string_equal(
		buf_cstr(&r.out),
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a:Envelope "
		"xmlns:g=\"http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd\" "
		"xmlns:f=\"http://schemas.xmlsoap.org/ws/2004/08/eventing\" "
		"xmlns:e=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" "
		"xmlns:d=\"http://schemas.xmlsoap.org/ws/2004/09/transfer\" "
		"xmlns:c=\"http://schemas.xmlsoap.org/ws/2004/09/enumeration\" "
		"xmlns:b=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" "
		"xmlns:a=\"http://www.w3.org/2003/05/soap-envelope\" "
		"xmlns:h=\"http://schemas.xmlsoap.org/ws/2005/02/trust\" "
		"xmlns:i=\"http://docs.oasis-open.org/wss/2004/01/"
		"oasis-200401-wss-wssecurity-secext-1.0.xsd\" " XSI "<a:Header>" TO
		"<b:RelatesTo>17</b:RelatesTo><b:Action a:mustUnderstand=\"true\">"
		"http://schemas.xmlsoap.org/ws/2004/08/addressing/fault</b:Action>"
		"<b:MessageID>uuid:00000000-8086-8086-8086-000000000001</b:MessageID></"
		"a:Header><a:Body><a:Fault><a:Code>"
		"<a:Value>a:Sender</a:Value><a:Subcode><a:Value>b:DestinationUnreachable</"
		"a:Value></a:Subcode></a:Code>"
		"<a:Reason><a:Text xml:lang=\"en-US\">No route can be determined to reach the "
		"destination role defined by "
		"the WSAddressing "
		"To.</a:Text></a:Reason><a:Detail></a:Detail></a:Fault></a:Body></a:Envelope>");
	rig_free(&r);
}

static void test_faults(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(get(&r, "http://example.com/CIM_Chassis"), 400);
	assert_true(has(&r, "b:DestinationUnreachable"));
	assert_int_equal(get(&r, CIM "CIM_ServiceAvailableToElement"), 400);
	assert_true(has(&r, "b:ActionNotSupported"));
	assert_int_equal(call(&r, CIM "CIM_Chassis", CIM "CIM_Chassis/Paint", "", ""), 400);
	assert_true(has(&r, "b:ActionNotSupported"));
	assert_int_equal(get(&r, CIM "CIM_SoftwareIdentity"), 400);
	assert_true(has(&r, "e:InvalidSelectors"));
	assert_int_equal(call(&r, CIM "CIM_SoftwareIdentity", SIM_NS_TRANSFER "/Get",
	                      "<w:SelectorSet><w:Selector "
	                      "Name=\"InstanceID\">None</w:Selector></w:SelectorSet>",
	                      ""),
	                 400);
	assert_true(has(&r, "b:DestinationUnreachable"));
	assert_int_equal(call(&r, CIM "CIM_Chassis", SIM_NS_TRANSFER "/Delete", "", ""), 400);
	assert_true(has(&r, "b:ActionNotSupported"));
	assert_int_equal(r.wsman.faults, 6);
	rig_free(&r);
}

static void test_not_an_envelope(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(sim_wsman_handle(&r.wsman, span_str("<x/>"), 0, &r.out), 0);
	assert_int_equal(sim_wsman_handle(&r.wsman, span_str("<Envelope><Body>"), 0, &r.out), 0);
	assert_int_equal(sim_wsman_handle(&r.wsman,
	                                  span_str("<!DOCTYPE a [<!ENTITY b \"c\">]><Envelope/>"),
	                                  0, &r.out),
	                 0);
	rig_free(&r);
}

static int put_boot(struct rig *r, const char *members)
{
	char body[1024];

	snprintf(body, sizeof(body),
	         "<h:AMT_BootSettingData xmlns:h=\"" AMT
	         "AMT_BootSettingData\">%s</h:AMT_BootSettingData>",
	         members);
	return call(r, AMT "AMT_BootSettingData", SIM_NS_TRANSFER "/Put", "", body);
}

static void test_put_and_single_use(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(put_boot(&r,
	                          "<h:BIOSSetup>true</h:BIOSSetup><h:UefiBootParametersArray>AA==</"
	                          "h:UefiBootParametersArray>"),
	                 200);
	assert_true(has(&r, "<g:BIOSPause>false</g:BIOSPause><g:BIOSSetup>true</g:BIOSSetup>"));
	assert_true(has(&r,
	                "<g:UEFILocalPBABootEnabled>true</g:UEFILocalPBABootEnabled>"
	                "<g:UefiBootNumberOfParams>0</g:UefiBootNumberOfParams>"
	                "<g:UefiBootParametersArray>AA==</g:UefiBootParametersArray><g:UseIDER>"));
	assert_int_equal(get(&r, AMT "AMT_BootSettingData"), 200);
	assert_true(has(&r, "<g:BIOSSetup>true</g:BIOSSetup>") &&
	            has(&r, "<g:OptionsCleared>false</g:OptionsCleared>"));
	assert_int_equal(sim_power_request(&r.power, SIM_POWER_RESET, r.now_ms), SIM_POWER_OK);
	r.now_ms += 1000;
	assert_int_equal(get(&r, AMT "AMT_BootSettingData"), 200);
	assert_true(has(&r, "<g:BIOSSetup>false</g:BIOSSetup>") &&
	            has(&r, "<g:OptionsCleared>true</g:OptionsCleared>"));
	rig_free(&r);
}

static void test_put_refusals(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(put_boot(&r, "<h:BIOSLastStatus>0</h:BIOSLastStatus>"), 400);
	assert_true(has(&r, "d:InvalidRepresentation"));
	assert_int_equal(put_boot(&r, "<h:Unknown>0</h:Unknown>"), 400);
	assert_true(has(&r, "d:InvalidRepresentation"));
	assert_int_equal(call(&r, AMT "AMT_BootSettingData", SIM_NS_TRANSFER "/Put", "",
	                      "<h:Other xmlns:h=\"x\"/>"),
	                 400);
	assert_true(has(&r, "e:SchemaValidationError"));
	assert_int_equal(call(&r, AMT "AMT_BootCapabilities", SIM_NS_TRANSFER "/Put", "",
	                      "<h:AMT_BootCapabilities xmlns:h=\"x\"/>"),
	                 400);
	assert_true(has(&r, "b:ActionNotSupported"));
	rig_free(&r);
}

#define TLS_EPR(cls, id)                                                              \
	"<x:Address>/wsman</x:Address><x:ReferenceParameters><w:ResourceURI>" AMT cls \
	"</w:ResourceURI><w:SelectorSet><w:Selector Name=\"InstanceID\">" id          \
	"</w:Selector></w:SelectorSet></x:ReferenceParameters>"
#define TLS_CONTEXT                                                                   \
	"<h:AMT_TLSCredentialContext xmlns:h=\"" AMT "AMT_TLSCredentialContext\"><h:" \
	"ElementInContext>" TLS_EPR("AMT_PublicKeyCertificate",                       \
	                            "Handle: 0") "</"                                 \
						 "h:ElementInContext><h:"             \
						 "ElementProvidingContex"             \
						 "t>" TLS_EPR("AMT_"                  \
	                                                      "TLSProtoc"             \
	                                                      "olEndpoin"             \
	                                                      "tCollecti"             \
	                                                      "on",                   \
	                                                      "c") "</"               \
								   "h:"               \
								   "Elem"             \
								   "entP"             \
								   "rovi"             \
								   "ding"             \
								   "Cont"             \
								   "ext>"             \
								   "</"               \
								   "h:"               \
								   "AMT_"             \
								   "TLSC"             \
								   "rede"             \
								   "ntia"             \
								   "lCon"             \
								   "text"             \
								   ">"

static void test_create_and_delete(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(call(&r, AMT "AMT_TLSCredentialContext", SIM_NS_TRANSFER "/Create", "",
	                      TLS_CONTEXT),
	                 200);
	assert_true(has(&r, "<g:ResourceCreated><b:Address>" SIM_ANONYMOUS
	                    "</b:Address><b:ReferenceParameters><c:ResourceURI>" AMT
	                    "AMT_TLSCredentialContext</c:ResourceURI><c:SelectorSet><c:Selector "
	                    "Name=\"ElementInContext\">"
	                    "<b:EndpointReference><b:Address>" SIM_ANONYMOUS
	                    "</b:Address><b:ReferenceParameters><c:ResourceURI>" AMT
	                    "AMT_PublicKeyCertificate</c:ResourceURI><c:SelectorSet><c:Selector "
	                    "Name=\"InstanceID\">Handle: 0"));
	assert_int_equal(call(&r, AMT "AMT_TLSCredentialContext", SIM_NS_TRANSFER "/Create", "",
	                      TLS_CONTEXT),
	                 400);
	assert_true(has(&r, "e:AlreadyExists"));
	assert_int_equal(get(&r, AMT "AMT_TLSCredentialContext"), 200);
	assert_true(has(&r, "<g:ElementInContext><b:Address>"));
	assert_int_equal(
		call(&r, AMT "AMT_TLSCredentialContext", SIM_NS_TRANSFER "/Delete",
	             "<w:SelectorSet><w:Selector "
	             "Name=\"ElementInContext\"><x:EndpointReference>" TLS_EPR(
			     "AMT_PublicKeyCertificate",
			     "Handle: 0") "</x:EndpointReference></w:Selector></w:SelectorSet>",
	             ""),
		200);
	assert_true(has(&r, "</a:Header><a:Body></a:Body>"));
	assert_int_equal(get(&r, AMT "AMT_TLSCredentialContext"), 400);
	assert_true(has(&r, "b:DestinationUnreachable"));
	rig_free(&r);
}

static int request_power(struct rig *r, unsigned value, const char *system)
{
	char body[1024];

	snprintf(
		body, sizeof(body),
		"<p:RequestPowerStateChange_INPUT xmlns:p=\"" CIM
		"CIM_PowerManagementService\"><p:PowerState>%u</p:PowerState>"
		"<p:ManagedElement><x:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing</"
		"x:Address>"
		"<x:ReferenceParameters><w:ResourceURI>" CIM
		"CIM_ComputerSystem</w:ResourceURI><w:SelectorSet>"
		"<w:Selector Name=\"CreationClassName\">CIM_ComputerSystem</w:Selector><w:Selector "
		"Name=\"Name\">%s</w:Selector>"
		"</w:SelectorSet></x:ReferenceParameters></p:ManagedElement></"
		"p:RequestPowerStateChange_INPUT>",
		value, system);
	return call(r, CIM "CIM_PowerManagementService",
	            CIM "CIM_PowerManagementService/RequestPowerStateChange", "", body);
}

static void test_power_change(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(request_power(&r, 5, "ManagedSystem"), 200);
	assert_true(
		has(&r, "CIM_PowerManagementService/RequestPowerStateChangeResponse</b:Action>"));
	assert_true(has(&r, "<g:RequestPowerStateChange_OUTPUT><g:ReturnValue>0</g:ReturnValue></"
	                    "g:RequestPowerStateChange_OUTPUT>"));
	r.now_ms += 1000;
	assert_int_equal(get(&r, CIM "CIM_AssociatedPowerManagementService"), 200);
	assert_true(has(&r, "<g:AvailableRequestedPowerStates>2</"
	                    "g:AvailableRequestedPowerStates><g:PowerState>8</g:PowerState>"));
	r.now_ms += 3000;
	assert_int_equal(get(&r, CIM "CIM_AssociatedPowerManagementService"), 200);
	assert_true(has(&r, "<g:PowerState>2</g:PowerState>"));
	assert_int_equal(request_power(&r, 5, "Intel(r) AMT"), 200);
	assert_true(has(&r, "<g:ReturnValue>5</g:ReturnValue>"));
	assert_int_equal(request_power(&r, 2, "ManagedSystem"), 200);
	assert_true(has(&r, "<g:ReturnValue>2</g:ReturnValue>"));
	rig_free(&r);
}

/* ---- HTTP and digest ---- */

static void md5_hex(const char *text, char out[33])
{
	struct span s = span_str(text);
	uint8_t sum[16];

	hash_once(HASH_MD5, &s, 1, sum);
	hex_encode(out, span_of(sum, sizeof(sum)));
}

/* The client's side of digest, written out. */
static void authorization(const char *nonce, unsigned nc, const char *qop, const char *password,
                          const char *body, char *out, size_t size)
{
	char ha1[33], ha2[33], sum[33], response[33], text[512];

	snprintf(text, sizeof(text), "admin:Digest:A3829B3827DE4D33D4449B366831FD01:%s", password);
	md5_hex(text, ha1);
	md5_hex(body, sum);
	snprintf(text, sizeof(text),
	         strcmp(qop, "auth-int") == 0 ? "POST:/wsman:%s" : "POST:/wsman", sum);
	md5_hex(text, ha2);
	snprintf(text, sizeof(text), "%s:%s:%08x:0a4f113b0a4f113b:%s:%s", ha1, nonce, nc, qop, ha2);
	md5_hex(text, response);
	snprintf(out, size,
	         "Digest "
	         "username=\"admin\",realm=\"Digest:A3829B3827DE4D33D4449B366831FD01\",nonce=\"%"
	         "s\",uri=\"/wsman\","
	         "qop=%s,nc=%08x,cnonce=\"0a4f113b0a4f113b\",response=\"%s\"",
	         nonce, qop, nc, response);
}

static void test_digest_vector(void **state)
{
	static const char header[] =
		"Digest username=\"admin\", realm=\"Digest:A3829B3827DE4D33D4449B366831FD01\", "
		"nonce=\"B9AX94iAAAAAAAAAx6rrSfPHGUrx/3uA\", uri=\"/wsman\", response=\"%s\", "
		"qop=\"%s\", nc=\"0000000%d\", "
		"cnonce=\"0a4f113b0a4f113b\"";
	struct rig r;
	char text[512];

	(void)state;
	rig_init(&r);
	str_copy(r.digest.nonces[0].text, sizeof(r.digest.nonces[0].text),
	         "B9AX94iAAAAAAAAAx6rrSfPHGUrx/3uA");
	snprintf(text, sizeof(text), header, "b4482db419c6150a3ab34e868c3f36f0", "auth", 1);
	assert_int_equal(sim_digest_check(&r.digest, "POST", span_str(text), span_str("<x/>"), 0),
	                 SIM_DIGEST_OK);
	assert_int_equal(sim_digest_check(&r.digest, "POST", span_str(text), span_str("<x/>"), 0),
	                 SIM_DIGEST_STALE);
	r.digest.nonces[0].last_nc = 0;
	snprintf(text, sizeof(text), header, "98759a0cddef81484002701829d95e29", "auth-int", 1);
	assert_int_equal(sim_digest_check(&r.digest, "POST", span_str(text), span_str("<x/>"), 0),
	                 SIM_DIGEST_WRONG);
	r.digest.qop = "auth-int";
	assert_int_equal(sim_digest_check(&r.digest, "POST", span_str(text), span_str("<x/>"), 0),
	                 SIM_DIGEST_OK);
	rig_free(&r);
}

static enum sim_http_next post(struct rig *r, const char *auth, const char *body)
{
	struct buf req;
	enum sim_http_next next;

	buf_init(&req, SIM_SOAP_BODY_MAX);
	buf_printf(
		&req,
		"POST /wsman HTTP/1.1\r\nHost: amt01:16992\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
		auth != NULL ? "Authorization: " : "", auth != NULL ? auth : "",
		auth != NULL ? "\r\n" : "", strlen(body), body);
	buf_clear(&r->out);
	next = sim_http_input(&r->http, buf_span(&req), r->now_ms, &r->out);
	buf_free(&req);
	return next;
}

static const char get_general[] =
	"<Envelope><Header><Action>" SIM_NS_TRANSFER "/Get</Action><ResourceURI>" AMT
	"AMT_GeneralSettings</ResourceURI><MessageID>1</MessageID></Header><Body/></Envelope>";

static void challenge_nonce(struct rig *r, char out[33])
{
	const char *at = strstr(buf_cstr(&r->out), "nonce=\"");

	assert_non_null(at);
	memcpy(out, at + 7, 32);
	out[32] = '\0';
	assert_int_equal(at[39], '"');
}

static void test_401_is_as_recorded(void **state)
{
	struct rig r;
	const char *out;

	(void)state;
	rig_init(&r);
	assert_int_equal(post(&r, NULL, get_general), SIM_HTTP_CLOSE);
	out = buf_cstr(&r.out);
	assert_memory_equal(out, "HTTP/1.1 401 Unauthorized\r\nDate: ", 33);
	assert_true(has(&r, "Server: Intel(R) Active Management Technology 15.0.23.1706\r\n"));
	assert_true(has(&r, "WWW-Authenticate: Digest "
	                    "realm=\"Digest:A3829B3827DE4D33D4449B366831FD01\", nonce=\""));
	assert_true(has(
		&r,
		"\",stale=\"false\",qop=\"auth\"\r\nContent-Type: text/html\r\nContent-Length: "));
	assert_true(has(&r, "Connection: close\r\n\r\n"));
	assert_true(has(&r, "Log on failed. Incorrect user name or password, or user account "
	                    "temporarily locked."));
	rig_free(&r);
}

/* Joins the chunks, checking the form of each size line. */
static void unchunk(struct rig *r, struct buf *body)
{
	const char *at = strstr(buf_cstr(&r->out), "\r\n\r\n");
	unsigned long n;

	assert_non_null(at);
	at += 4;
	for (;;) {
		if (strncmp(at, "0\r\n\r\n", 5) == 0)
			break;
		assert_int_equal(strspn(at, "0123456789ABCDEF"), 4);
		n = strtoul(at, NULL, 16);
		assert_true(n > 0 && n <= 762);
		buf_put(body, at + 6, n);
		at += 6 + n;
		assert_memory_equal(at, "\r\n", 2);
		at += 2;
	}
	assert_int_equal(at[5], '\0');
}

static void test_authenticated_and_chunked(void **state)
{
	char nonce[33], auth[512];
	struct buf body;
	struct rig r;

	(void)state;
	rig_init(&r);
	post(&r, NULL, get_general);
	challenge_nonce(&r, nonce);
	sim_http_free(&r.http);
	sim_http_init(&r.http, &r.wsman, &r.digest);
	authorization(nonce, 1, "auth", "P@ssw0rd", get_general, auth, sizeof(auth));
	assert_int_equal(post(&r, auth, get_general), SIM_HTTP_KEEP);
	assert_true(has(&r, "HTTP/1.1 200 OK\r\nDate: "));
	assert_true(has(
		&r, "X-Frame-Options: DENY\r\nContent-Type: application/soap+xml; charset=UTF-8\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n02FA\r\n"));
	buf_init(&body, 1 << 16);
	unchunk(&r, &body);
	assert_non_null(strstr(buf_cstr(&body), "<g:HostName>amt01</g:HostName>"));
	assert_non_null(strstr(buf_cstr(&body), "</a:Envelope>"));
	buf_free(&body);
	authorization(nonce, 2, "auth", "P@ssw0rd", get_general, auth, sizeof(auth));
	assert_int_equal(post(&r, auth, get_general), SIM_HTTP_KEEP);
	assert_true(has(&r, "200 OK"));
	assert_int_equal(post(&r, auth, get_general), SIM_HTTP_CLOSE);
	assert_true(has(&r, "401 Unauthorized"));
	rig_free(&r);
}

static void test_auth_int(void **state)
{
	char nonce[33], auth[512];
	struct rig r;

	(void)state;
	rig_init(&r);
	r.digest.qop = "auth,auth-int";
	post(&r, NULL, get_general);
	assert_true(has(&r, "qop=\"auth,auth-int\""));
	challenge_nonce(&r, nonce);
	rig_free(&r);
	rig_init(&r);
	r.digest.qop = "auth-int";
	post(&r, NULL, get_general);
	challenge_nonce(&r, nonce);
	sim_http_free(&r.http);
	sim_http_init(&r.http, &r.wsman, &r.digest);
	authorization(nonce, 1, "auth-int", "P@ssw0rd", get_general, auth, sizeof(auth));
	assert_int_equal(post(&r, auth, get_general), SIM_HTTP_KEEP);
	assert_true(has(&r, "200 OK"));
	rig_free(&r);
}

static void test_account_locks(void **state)
{
	char nonce[33], auth[512];
	struct rig r;

	(void)state;
	rig_init(&r);
	for (unsigned i = 0; i < 3; i++) {
		sim_http_free(&r.http);
		sim_http_init(&r.http, &r.wsman, &r.digest);
		post(&r, NULL, get_general);
		challenge_nonce(&r, nonce);
		authorization(nonce, 1, "auth", "wrong", get_general, auth, sizeof(auth));
		assert_int_equal(sim_digest_check(&r.digest, "POST", span_str(auth),
		                                  span_str(get_general), r.now_ms),
		                 SIM_DIGEST_WRONG);
	}
	authorization(nonce, 2, "auth", "P@ssw0rd", get_general, auth, sizeof(auth));
	assert_int_equal(sim_digest_check(&r.digest, "POST", span_str(auth), span_str(get_general),
	                                  r.now_ms + 999),
	                 SIM_DIGEST_LOCKED);
	assert_int_equal(sim_digest_check(&r.digest, "POST", span_str(auth), span_str(get_general),
	                                  r.now_ms + 1000),
	                 SIM_DIGEST_OK);
	rig_free(&r);
}

static void test_fault_closes_the_connection(void **state)
{
	char nonce[33], auth[512];
	static const char bad[] =
		"<Envelope><Header><Action>" SIM_NS_TRANSFER "/Get</Action><ResourceURI>" AMT
		"AMT_None</ResourceURI></Header><Body/></Envelope>";
	struct rig r;

	(void)state;
	rig_init(&r);
	sim_digest_challenge(&r.digest, &r.out);
	challenge_nonce(&r, nonce);
	authorization(nonce, 1, "auth", "P@ssw0rd", bad, auth, sizeof(auth));
	assert_int_equal(post(&r, auth, bad), SIM_HTTP_CLOSE);
	assert_true(has(&r, "HTTP/1.1 400 Bad Request\r\n"));
	assert_true(has(
		&r, "Connection: close\r\nContent-Type: application/soap+xml; charset=UTF-8\r\n"));
	rig_free(&r);
}

static void test_request_in_pieces_and_chunks(void **state)
{
	char nonce[33], auth[512];
	struct buf req;
	struct rig r;
	enum sim_http_next next = SIM_HTTP_KEEP;

	(void)state;
	rig_init(&r);
	sim_digest_challenge(&r.digest, &r.out);
	challenge_nonce(&r, nonce);
	authorization(nonce, 1, "auth", "P@ssw0rd", get_general, auth, sizeof(auth));
	buf_init(&req, 1 << 16);
	buf_printf(&req,
	           "POST /wsman HTTP/1.1\r\nTransfer-Encoding: chunked\r\nAuthorization: "
	           "%s\r\nConnection: close\r\n\r\n"
	           "a\r\n%.10s\r\n%zx\r\n%s\r\n0\r\n\r\n",
	           auth, get_general, strlen(get_general) - 10, get_general + 10);
	buf_clear(&r.out);
	for (size_t i = 0; i < req.len; i++) {
		assert_int_equal(next, SIM_HTTP_KEEP);
		next = sim_http_input(&r.http, span_of(req.data + i, 1), r.now_ms, &r.out);
	}
	assert_int_equal(next, SIM_HTTP_CLOSE);
	assert_true(has(&r, "200 OK") && has(&r, "Connection: close\r\n"));
	buf_free(&req);
	rig_free(&r);
}

static void test_pages_and_nonsense(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	assert_int_equal(
		sim_http_input(&r.http, span_str("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0, &r.out),
		SIM_HTTP_CLOSE);
	assert_true(has(&r, "HTTP/1.1 303 See Other\r\n") && has(&r, "Location: /logon.htm\r\n"));
	buf_clear(&r.out);
	assert_int_equal(sim_http_input(&r.http, span_str("nonsense\r\n\r\n"), 0, &r.out),
	                 SIM_HTTP_CLOSE);
	assert_true(has(&r, "400 Bad Request") && has(&r, "Content-Type: text/html"));
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_is_byte_faithful),
		cmocka_unit_test(test_enumerate_and_pull_a_superclass),
		cmocka_unit_test(test_pull_in_parts),
		cmocka_unit_test(test_dates_use_common),
		cmocka_unit_test(test_device_facts),
		cmocka_unit_test(test_fault_is_byte_faithful),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_not_an_envelope),
		cmocka_unit_test(test_put_and_single_use),
		cmocka_unit_test(test_put_refusals),
		cmocka_unit_test(test_create_and_delete),
		cmocka_unit_test(test_power_change),
		cmocka_unit_test(test_digest_vector),
		cmocka_unit_test(test_401_is_as_recorded),
		cmocka_unit_test(test_authenticated_and_chunked),
		cmocka_unit_test(test_auth_int),
		cmocka_unit_test(test_account_locks),
		cmocka_unit_test(test_fault_closes_the_connection),
		cmocka_unit_test(test_request_in_pieces_and_chunks),
		cmocka_unit_test(test_pages_and_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
