/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * events.h: the journal of device events: a ring of the newest GATEWAY_EVENTS_KEPT, and fibers on any worker that wait for the
 * next one. A slow reader never holds anybody up: it falls out of the ring and takes a new snapshot.
 */
#pragma once

#include "gateway/gateway.h"

struct events;

struct events *events_new(struct loop *const *loops, size_t loops_len);
/* events_free: after the loops ended. */
void events_free(struct events *e);

/* events_publish: gives ev the next number and wakes waiters. Any thread. */
void events_publish(struct events *e, struct device_event *ev);

uint64_t events_last(struct events *e);
ssize_t events_read(struct events *e, uint64_t after_seq, struct device_event *out,
                    size_t max) MUST_CHECK;
int events_wait(struct events *e, uint64_t after_seq, uint64_t at_ms) MUST_CHECK;

/* events_waiting: fibers in events_wait now. Any thread. */
uint64_t events_waiting(struct events *e);
