/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * relay.h: octets between two fibers on two loops: the client of OpenTunnel and the device's channel.
 *
 * Two rings of a fixed size, one a direction. A side writes only where there is room and reads only what is there, so that
 * back-pressure goes through: a full ring stops the reading of the client's messages (its HTTP/2 window) or of the channel
 * (the device's APF window). Neither side ever blocks in here: a fiber does what it can, then waits with fiber_wait; every change
 * that the other side makes wakes it. The wake is a task posted to the side's loop, at most one at a time.
 *
 * State of a direction: open -> finished (its writer writes no more; the rest can be read). State of a side: detached ->
 * attached (has a fiber to wake) -> detached -> left (for good, with a result). After one side left, the other can still read
 * what was written to it.
 *
 * Ownership: relay_new gives one reference to each side, which relay_leave drops; a posted task holds another one, so the
 * memory lives until the last wake has run. The ring's octets belong to its reader between relay_peek and relay_consume and to its writer
 * between relay_reserve and relay_commit; everything else is under the lock. A side's functions are called by one fiber at a
 * time; attach and detach on the loop of the fiber.
 */
#pragma once

#include "core/fiber.h"

struct relay;

#define RELAY_ROOM 65536UL /* octets of a ring */

enum relay_side { RELAY_CLIENT = 0, RELAY_DEVICE = 1 };

/* relay_new: NULL without memory. */
struct relay *relay_new(void);

/* relay_attach: the current fiber is woken from now on. It looks at the relay's state before it waits. */
void relay_attach(struct relay *r, enum relay_side side);
/* relay_detach: in the same fiber, before it ends. */
void relay_detach(struct relay *r, enum relay_side side);
/* relay_leave: for good: the other side is woken and reads result with relay_left. Detached; any thread; r is not used by this side after. */
void relay_leave(struct relay *r, enum relay_side side, int result);
/* relay_left: the other side has left; *result (may be NULL) is what it gave. */
bool relay_left(struct relay *r, enum relay_side side, int *result);

/* relay_reserve: where this side may write now; empty: no room. relay_commit: n of it were written. */
struct relay_space {
	uint8_t *ptr;
	size_t len;
};
struct relay_space relay_reserve(struct relay *r, enum relay_side side);
void relay_commit(struct relay *r, enum relay_side side, size_t n);
/* relay_put: copies what fits of s; how many octets. */
size_t relay_put(struct relay *r, enum relay_side side, struct span s) MUST_CHECK;
/* relay_finish: this side writes no more. Once or more. */
void relay_finish(struct relay *r, enum relay_side side);

/* relay_peek: what this side can read now, or its first part; empty: nothing. relay_consume: n of it are done with. */
struct span relay_peek(struct relay *r, enum relay_side side);
void relay_consume(struct relay *r, enum relay_side side, size_t n);
/* relay_ended: nothing is left to read and nothing will come: the other side finished or left. */
bool relay_ended(struct relay *r, enum relay_side side);

/* relay_wake: wakes the fiber of a side, if one is attached, for something that both know of outside the relay. Any thread. */
void relay_wake(struct relay *r, enum relay_side side);
