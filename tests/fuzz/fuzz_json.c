/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JSON to a message and back: what was read is written, read again and written again; both texts must be the same. The first octet
 * chooses the message type.
 */
#include <string.h>

#include "causeway/v1/devices.pb-c.h"
#include "causeway/v1/groups.pb-c.h"
#include "causeway/v1/operations.pb-c.h"
#include "causeway/v1/power.pb-c.h"
#include "causeway/v1/tunnels.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "mgmtapi/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX (4 * 1024 * 1024)

static const ProtobufCMessageDescriptor *const types[] = {
	&causeway__v1__device__descriptor,
	&causeway__v1__update_group_request__descriptor,
	&causeway__v1__operation__descriptor,
	&causeway__v1__change_power_request__descriptor,
	&causeway__v1__open_tunnel_request__descriptor,
	&google__rpc__error_info__descriptor,
	&google__protobuf__uninterpreted_option__descriptor,
	&google__protobuf__file_descriptor_proto__descriptor,
};

static bool write_text(const ProtobufCMessage *m, struct buf *out)
{
	buf_init(out, TEXT_MAX);
	return pbjson_encode(m, NULL, out) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *d;
	ProtobufCMessage *m;
	ProtobufCMessage *again;
	struct buf why, one, two;

	if (size < 1)
		return 0;
	d = types[data[0] % ARRAY_LEN(types)];
	buf_init(&why, 4096);
	m = pbjson_decode(d, span_of(data + 1, size - 1), NULL, NULL, &why);
	if (m == NULL) {
		ASSERT(why.len > 0);
		buf_free(&why);
		return 0;
	}
	if (write_text(m, &one)) {
		again = pbjson_decode(d, buf_span(&one), NULL, NULL, &why);
		/* An Any that is printed open is not read back: the reader takes octets only. */
		ASSERT(again != NULL || memmem(one.data, one.len, "@type", 5) != NULL);
		if (again != NULL && memmem(one.data, one.len, "@type", 5) == NULL) {
			ASSERT(write_text(again, &two));
			ASSERT(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
			buf_free(&two);
		}
		if (again != NULL)
			protobuf_c_message_free_unpacked(again, NULL);
	}
	buf_free(&one);
	buf_free(&why);
	protobuf_c_message_free_unpacked(m, NULL);
	return 0;
}
