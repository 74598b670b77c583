/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * room.c: how much the kernel may hold for a tunnel. TCP carries at most a buffer in a round trip: with the 32 KiB that every tunnel
 * begins with that is 160 KB/s at 200 ms. So the receive buffer follows the windows that its channels have granted, and the send
 * buffer doubles while a device far away takes more than it can hold; nearby, small buffers are enough and kinder to caches. What all tunnels have
 * beyond the first sizes is bounded: whoever finds nothing left stays as it is until its windows change again. Worker's thread.
 */
#include "gateway/internal.h"

#define SMALL_WINDOW \
	65536 /* WSMAN's: comes and goes with each request, and the first buffer is enough for its answers */

/* Takes more octets out of what all tunnels may have, or gives some back (they are fewer then). */
static bool take_room(struct gateway *g, size_t before, size_t after)
{
	size_t sum = atomic_fetch_add(&g->room, after - before) + after - before;

	if (after <= before || sum <= ROOM_MAX)
		return true;
	atomic_fetch_sub(&g->room, after - before);
	gw_count(GW_ROOM_REFUSED);
	return false;
}

/* Both in one octet of the tunnel: how often the receive buffer has doubled, and the send buffer. */
static unsigned receive_steps(const struct tunnel *t)
{
	return t->room & 15u;
}

static unsigned send_steps(const struct tunnel *t)
{
	return t->room >> 4;
}

static void set_receive(struct tunnel *t, unsigned steps)
{
	size_t before = (size_t)ROOM_RECEIVE_FIRST << receive_steps(t);
	size_t after = (size_t)ROOM_RECEIVE_FIRST << steps;

	if (after == before || !take_room(t->w->g, before, after))
		return;
	t->room = (uint8_t)(send_steps(t) << 4 | steps);
	if (t->conn != NULL)
		conn_buffers(t->conn, (int)after, 0);
}

static void set_send(struct tunnel *t, unsigned steps)
{
	size_t before = (size_t)ROOM_SEND_FIRST << send_steps(t);
	size_t after = (size_t)ROOM_SEND_FIRST << steps;

	if (after == before || !take_room(t->w->g, before, after))
		return;
	t->room = (uint8_t)(steps << 4 | receive_steps(t));
	if (t->conn != NULL)
		conn_buffers(t->conn, 0, (int)after);
}

/*
 * What a closed channel's window let on its way is still to come until the device has answered: with a small buffer the kernel would drop
 * it, and TCP would bring all of it once more at the pace of that buffer.
 */
void room_fit(struct tunnel *t)
{
	uint64_t windows = t->apf_made ? apf_channel_windows(&t->apf, SMALL_WINDOW) : 0;
	unsigned steps = 0;

	while (steps < ROOM_RECEIVE_STEPS && (uint64_t)ROOM_RECEIVE_FIRST << steps < windows)
		steps++;
	set_receive(t, steps);
	if (windows == 0)
		set_send(t, 0);
}

void room_send_more(struct tunnel *t)
{
	if (send_steps(t) < ROOM_SEND_STEPS)
		set_send(t, send_steps(t) + 1);
}
