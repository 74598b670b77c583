/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * descriptors.h: the FileDescriptorSet of every .proto file of the API with its imports, embedded at build time. Each entry of
 * its field 1 is one serialized FileDescriptorProto. Read-only; any thread.
 */
#pragma once

#include "core/base.h"

extern const uint8_t api_descriptors[];
extern const size_t api_descriptors_len;
