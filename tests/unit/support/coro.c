/* SPDX-License-Identifier: GPL-3.0-or-later */
/* coro.c: ucontext coroutines behind the call_exec table. */
#include "tests/unit/support/coro.h"

#include <stdlib.h>
#include <ucontext.h>

#include "core/err.h"

#define CORO_MAX   64
#define CORO_STACK (64 * 1024)

/* Stands for a struct fiber, which is opaque to the calls. */
struct fiber {
	ucontext_t ctx;
	fiber_fn *fn;
	void *arg;
	uint64_t deadline_ms;
	char *stack;
	bool used, started, done, runnable, cancelled;
};

static struct fiber coros[CORO_MAX];
static struct fiber *current;
static ucontext_t main_ctx;
static uint64_t now;

static void entry(void)
{
	current->fn(current->arg);
	current->done = true;
}

static struct fiber *free_slot(void)
{
	for (size_t i = 0; i < CORO_MAX; i++)
		if (!coros[i].used)
			return &coros[i];
	return NULL;
}

/* Apart from spawn: compilers count getcontext among the functions that return twice. */
static void prepare(ucontext_t *ctx, char *stack)
{
	getcontext(ctx);
	ctx->uc_stack.ss_sp = stack;
	ctx->uc_stack.ss_size = CORO_STACK;
	ctx->uc_link = &main_ctx;
	makecontext(ctx, entry, 0);
}

static struct fiber *spawn(const char *name, fiber_fn *fn, void *arg, uint64_t deadline_ms)
{
	struct fiber *f = free_slot();

	(void)name;
	if (f == NULL)
		return NULL;
	*f = (struct fiber){
		.fn = fn, .arg = arg, .deadline_ms = deadline_ms, .used = true, .runnable = true};
	f->stack = malloc(CORO_STACK);
	prepare(&f->ctx, f->stack);
	return f;
}

static int verdict(const struct fiber *f)
{
	return f->cancelled ? -ERR_CANCELLED : f->deadline_ms <= now ? -ERR_TIMEOUT : 0;
}

static int wait_here(void)
{
	struct fiber *f = current;

	if (verdict(f) != 0)
		return verdict(f);
	f->runnable = false;
	swapcontext(&f->ctx, &main_ctx);
	return verdict(f);
}

static void wake(struct fiber *f)
{
	f->runnable = true;
}

static void cancel(struct fiber *f)
{
	f->cancelled = true;
	f->runnable = true;
}

const struct call_exec coro_exec = {
	.spawn = spawn, .wait = wait_here, .wake = wake, .cancel = cancel};

void coro_set_now(uint64_t now_ms)
{
	now = now_ms;
}

size_t coro_run(void)
{
	size_t left = 0;
	bool more = true;

	while (more) {
		more = false;
		left = 0;
		for (size_t i = 0; i < CORO_MAX; i++) {
			struct fiber *f = &coros[i];

			if (!f->used)
				continue;
			left++;
			if (!f->runnable && f->deadline_ms > now)
				continue;
			more = true;
			current = f;
			swapcontext(&main_ctx, &f->ctx);
			current = NULL;
			if (f->done) {
				free(f->stack);
				f->used = false;
				left--;
			}
		}
	}
	return left;
}
