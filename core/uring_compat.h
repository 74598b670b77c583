/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * uring_compat.h: liburing with what version 2.3 (Debian 12) lacks. Only bits of single requests and of registrations are
 * added here: they are safe with an old library. A set-up flag that changes the layout of the rings is not (liburing 2.3
 * with NO_SQARRAY gives a corrupt ring without an error), so none is.
 */
#pragma once

#include <liburing.h>

#ifndef IORING_SETUP_DEFER_TASKRUN
#error "liburing 2.3 or later is needed"
#endif

#ifndef IORING_RECV_MULTISHOT
#define IORING_RECV_MULTISHOT (1U << 1)
#endif
#ifndef IORING_FEAT_NODROP
#define IORING_FEAT_NODROP (1U << 1)
#endif
