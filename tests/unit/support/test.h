/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test.h: cmocka with the headers it forgets to include, in the order it needs. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
