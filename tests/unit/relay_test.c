/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relay: octets between fibers on two loops, with slow sides, finished directions, sides that leave and cancelled fibers. */
#include "mgmtapi/relay.h"
#include "core/clock.h"
#include "core/err.h"
#include "tests/unit/support/loops.h"
#include "tests/unit/support/test.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define TOTAL (3 * 1000 * 1000UL)

/* What one side does: writes `total` octets of a pattern and reads until the other ended. */
struct side {
	struct task start;
	struct relay *relay;
	enum relay_side side;
	size_t write_max, read_max; /* octets a turn */
	unsigned pause_every;       /* sleep 1 ms after so many turns with progress; 0: never */
	size_t total, stop_reading_at;
	int result; /* given to relay_leave */
	/* outcome, read after both loops ended */
	size_t written, got;
	int err, seen;
	bool wrong, saw_left;
	atomic_size_t progress;
	struct fiber *fiber;
	atomic_bool *both_done;
	atomic_int *running;
	bool stops_loop;
};

static uint8_t pattern(enum relay_side from, size_t at)
{
	return (uint8_t)(at * 7 + at / 251 + (size_t)from * 101);
}

static bool write_some(struct side *s)
{
	struct relay_space room = relay_reserve(s->relay, s->side);
	size_t n = MIN(MIN(room.len, s->write_max), s->total - s->written);

	if (s->written == s->total)
		return false;
	for (size_t i = 0; i < n; i++)
		room.ptr[i] = pattern(s->side, s->written + i);
	relay_commit(s->relay, s->side, n);
	s->written += n;
	atomic_store(&s->progress, s->written);
	if (s->written == s->total)
		relay_finish(s->relay, s->side);
	return n > 0;
}

static bool read_some(struct side *s)
{
	struct span have = relay_peek(s->relay, s->side);
	size_t n = MIN(MIN(have.len, s->read_max), s->stop_reading_at - s->got);
	enum relay_side from = s->side == RELAY_CLIENT ? RELAY_DEVICE : RELAY_CLIENT;

	for (size_t i = 0; i < n; i++)
		s->wrong = s->wrong || have.ptr[i] != pattern(from, s->got + i);
	relay_consume(s->relay, s->side, n);
	s->got += n;
	return n > 0;
}

static int turn(struct side *s, unsigned *turns)
{
	bool moved = write_some(s);

	moved = read_some(s) || moved;
	if (!moved)
		return fiber_wait();
	if (s->pause_every != 0 && ++*turns % s->pause_every == 0)
		return fiber_sleep(1);
	return 0;
}

static void side_leave(struct side *s)
{
	relay_detach(s->relay, s->side);
	relay_leave(s->relay, s->side, s->result);
	if (atomic_fetch_sub(s->running, 1) == 1)
		atomic_store(s->both_done, true);
}

static void side_main(void *arg)
{
	struct side *s = arg;
	unsigned turns = 0;

	relay_attach(s->relay, s->side);
	while (s->err == 0 && !(relay_ended(s->relay, s->side) && s->written == s->total)) {
		s->saw_left = relay_left(s->relay, s->side, &s->seen);
		if (s->saw_left && relay_ended(s->relay, s->side))
			break;
		s->err = turn(s, &turns);
	}
	side_leave(s);
}

static void side_start(struct task *t)
{
	struct side *s = container_of(t, struct side, start);

	s->fiber = fiber_spawn("side", side_main, s, FIBER_NO_DEADLINE);
	assert_non_null(s->fiber);
}

/* Both sides on loops of their own, the client's in this thread. */
struct pair {
	struct loops_thread there;
	struct side client, device;
	atomic_bool done;
	atomic_int running;
	uint64_t cancel_client_after_ms;
	bool stalled_right;
};

static void pair_init(struct pair *p)
{
	*p = (struct pair){.running = 2};
	p->client = (struct side){.side = RELAY_CLIENT, .write_max = 30000, .read_max = 30000};
	p->device = (struct side){.side = RELAY_DEVICE, .write_max = 30000, .read_max = 30000};
	p->client.relay = p->device.relay = relay_new();
	assert_non_null(p->client.relay);
	p->client.stop_reading_at = p->device.stop_reading_at = SIZE_MAX;
	p->client.both_done = p->device.both_done = &p->done;
	p->client.running = p->device.running = &p->running;
	p->client.start.run = p->device.start.run = side_start;
}

/* Watches until both ended; cancels the client's fiber when told to. */
static void watch(void *arg)
{
	struct pair *p = arg;
	uint64_t begun = clock_mono_ms();

	while (!atomic_load(&p->done)) {
		if (fiber_sleep(2) != 0 || clock_mono_ms() - begun > 20000)
			break;
		if (p->cancel_client_after_ms == 0 ||
		    clock_mono_ms() - begun < p->cancel_client_after_ms)
			continue;
		p->stalled_right = atomic_load(&p->device.progress) == RELAY_ROOM;
		fiber_cancel(p->client.fiber);
		p->cancel_client_after_ms = 0;
	}
	loop_stop(loop_current());
}

static void pair_begin(void *arg)
{
	struct pair *p = arg;

	side_start(&p->client.start);
	assert_true(loop_post(p->there.loop, &p->device.start));
	assert_non_null(fiber_spawn("watch", watch, p, FIBER_NO_DEADLINE));
}

static void pair_run(struct pair *p)
{
	struct loop *here = loops_new(0);

	loops_start(&p->there);
	loops_run_keep(here, pair_begin, p);
	loops_join(&p->there);
	loop_free(here);
	assert_true(atomic_load(&p->done));
	assert_false(p->client.wrong);
	assert_false(p->device.wrong);
}

static void both_ways(struct pair *p)
{
	pair_run(p);
	assert_int_equal(p->client.err, 0);
	assert_int_equal(p->device.err, 0);
	assert_int_equal(p->client.got, p->device.total);
	assert_int_equal(p->device.got, p->client.total);
}

/* ---- cases --------------------------------------------------------------------------------------------------------------- */

static void fast_both_ways(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p);
	p.client.total = TOTAL;
	p.device.total = TOTAL + 12345;
	both_ways(&p);
}

static void slow_reader(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p);
	p.client.total = 300000;
	p.device.total = TOTAL / 4;
	p.client.read_max = 4099;
	p.client.pause_every = 4;
	both_ways(&p);
}

static void slow_writer(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p);
	p.client.total = 100003;
	p.device.total = 1000;
	p.client.write_max = 777;
	p.client.pause_every = 2;
	both_ways(&p);
}

static void one_direction_finishes_first(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p);
	p.client.total = 0; /* never finishes by writing */
	relay_finish(p.client.relay, RELAY_CLIENT);
	p.device.total = TOTAL / 8;
	both_ways(&p);
}

/* The client reads 1000 octets, then no more: the device writes until the ring is full, and no further; then the client goes. */
static void cancelled_client(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p);
	p.client.total = SIZE_MAX;
	p.client.write_max = 0;
	p.client.stop_reading_at = 0;
	p.client.result = -ERR_CANCELLED;
	p.device.total = TOTAL;
	p.cancel_client_after_ms = 100;
	pair_run(&p);
	assert_true(p.stalled_right);
	assert_int_equal(p.client.err, -ERR_CANCELLED);
	assert_true(p.device.saw_left);
	assert_int_equal(p.device.seen, -ERR_CANCELLED);
	assert_int_equal(p.device.written, RELAY_ROOM);
}

/* What a side wrote before it left is still read, then its result. */
static void rest_after_leaving(void **state)
{
	static const char text[] = "the last words";
	struct relay *r = relay_new();
	struct span s;
	int result = 0;

	(void)state;
	assert_non_null(r);
	assert_int_equal(relay_put(r, RELAY_DEVICE, span_str(text)), sizeof(text) - 1);
	assert_false(relay_left(r, RELAY_CLIENT, NULL));
	relay_leave(r, RELAY_DEVICE, -ERR_OFFLINE);
	assert_true(relay_left(r, RELAY_CLIENT, &result));
	assert_int_equal(result, -ERR_OFFLINE);
	assert_false(relay_ended(r, RELAY_CLIENT));
	s = relay_peek(r, RELAY_CLIENT);
	assert_int_equal(s.len, sizeof(text) - 1);
	assert_memory_equal(s.ptr, text, s.len);
	relay_consume(r, RELAY_CLIENT, s.len);
	assert_true(relay_ended(r, RELAY_CLIENT));
	relay_leave(r, RELAY_CLIENT, 0);
}

static void put_wraps_and_is_bounded(void **state)
{
	struct relay *r = relay_new();
	uint8_t *octets = calloc(1, 2 * RELAY_ROOM);
	struct span s;

	(void)state;
	assert_non_null(r);
	assert_non_null(octets);
	for (size_t i = 0; i < 2 * RELAY_ROOM; i++)
		octets[i] = pattern(RELAY_CLIENT, i);
	assert_int_equal(relay_put(r, RELAY_CLIENT, span_of(octets, RELAY_ROOM - 10)),
	                 RELAY_ROOM - 10);
	relay_consume(r, RELAY_DEVICE, RELAY_ROOM - 20);
	assert_int_equal(relay_put(r, RELAY_CLIENT, span_of(octets + RELAY_ROOM - 10, RELAY_ROOM)),
	                 RELAY_ROOM - 10);
	assert_int_equal(relay_put(r, RELAY_CLIENT, span_of(octets, 1)), 0);
	s = relay_peek(r, RELAY_DEVICE);
	assert_int_equal(s.len, 20);
	assert_memory_equal(s.ptr, octets + RELAY_ROOM - 20, s.len);
	relay_consume(r, RELAY_DEVICE, s.len);
	s = relay_peek(r, RELAY_DEVICE);
	assert_int_equal(s.len, RELAY_ROOM - 20);
	assert_memory_equal(s.ptr, octets + RELAY_ROOM, s.len);
	free(octets);
	relay_leave(r, RELAY_CLIENT, 0);
	relay_leave(r, RELAY_DEVICE, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOPS_TEST(fast_both_ways),
		LOOPS_TEST(slow_reader),
		LOOPS_TEST(slow_writer),
		LOOPS_TEST(one_direction_finishes_first),
		LOOPS_TEST(cancelled_client),
		cmocka_unit_test(rest_after_leaving),
		cmocka_unit_test(put_wraps_and_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
