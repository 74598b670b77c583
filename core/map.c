/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * map.c: open addressing with linear probing and backward-shift deletion, so there are no tombstones and a probe ends at the
 * first empty slot. At most 3/4 of the slots are used. A slot: hash (0 empty), value, key octets, length if variable.
 */
#include "core/map.h"
#include "core/err.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MAP_CAPACITY_MIN 16
#define MAP_USED         (1ull << 63) /* set in every stored hash: tells used from empty */

struct map_slot {
	uint64_t hash;
	void *value;
	uint8_t key[]; /* key_size octets, or length octet and MAP_KEY_MAX octets */
};

static inline uint64_t rotl64(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline uint64_t load_le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void sip_rounds(uint64_t v[4], unsigned n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotl64(v[1], 13) ^ v[0];
		v[3] = rotl64(v[3], 16) ^ v[2];
		v[0] = rotl64(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotl64(v[1], 17) ^ v[2];
		v[3] = rotl64(v[3], 21) ^ v[0];
		v[2] = rotl64(v[2], 32);
	}
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
}

/* The algorithm of Aumasson and Bernstein, "SipHash: a fast short-input PRF", section 2. */
uint64_t siphash24(const uint8_t key[16], struct span data)
{
	uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull,
	                 k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull};
	uint64_t last = (uint64_t)data.len << 56;
	size_t i = 0;

	for (; data.len - i >= 8; i += 8)
		sip_absorb(v, load_le64(data.ptr + i));
	for (unsigned shift = 0; i < data.len; i++, shift += 8)
		last |= (uint64_t)data.ptr[i] << shift;
	sip_absorb(v, last);
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint8_t process_key[16];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void process_key_fill(void)
{
	size_t have = 0;

	while (have < sizeof(process_key)) {
		ssize_t n = getrandom(process_key + have, sizeof(process_key) - have, 0);

		ASSERT(n > 0 || errno == EINTR);
		have += n > 0 ? (size_t)n : 0;
	}
}

uint64_t map_hash(struct span data)
{
	(void)pthread_once(&process_key_once, process_key_fill);
	return siphash24(process_key, data);
}

void map_init(struct map *m, size_t key_size, uint32_t max)
{
	size_t room = key_size > 0 ? key_size : MAP_KEY_MAX + 1;

	ASSERT(key_size <= MAP_KEY_MAX && max <= 1u << 28);
	room = (room + 7) & ~(size_t)7;
	*m = (struct map){.max = max,
	                  .key_size = (uint16_t)key_size,
	                  .stride = (uint16_t)(sizeof(struct map_slot) + room)};
}

void map_free(struct map *m)
{
	free(m->slots);
	m->slots = NULL;
	m->capacity = 0;
	m->count = 0;
}

static struct map_slot *slot_at(const struct map *m, uint32_t i)
{
	return (struct map_slot *)(void *)(m->slots + (size_t)i * m->stride);
}

static struct span slot_key(const struct map *m, const struct map_slot *s)
{
	if (m->key_size > 0)
		return span_of(s->key, m->key_size);
	return span_of(s->key + 1, s->key[0]);
}

static bool key_fits(const struct map *m, struct span key)
{
	return m->key_size > 0 ? key.len == m->key_size : key.len <= MAP_KEY_MAX;
}

/* The slot that holds the key, or the empty slot where it would go. There is always an empty one. */
static struct map_slot *find(const struct map *m, struct span key, uint64_t hash)
{
	uint32_t mask = m->capacity - 1;

	for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
		struct map_slot *s = slot_at(m, i);
		struct span k;

		if (s->hash == 0)
			return s;
		if (s->hash != hash)
			continue;
		k = slot_key(m, s);
		if (k.len == key.len && (k.len == 0 || memcmp(k.ptr, key.ptr, k.len) == 0))
			return s;
	}
}

static int grow(struct map *m)
{
	uint32_t capacity = m->capacity > 0 ? m->capacity * 2 : MAP_CAPACITY_MIN;
	struct map bigger = *m;

	bigger.slots = calloc(capacity, m->stride);
	if (bigger.slots == NULL)
		return -ERR_NOMEM;
	bigger.capacity = capacity;
	for (uint32_t i = 0; i < m->capacity; i++) {
		const struct map_slot *s = slot_at(m, i);
		uint32_t at = (uint32_t)s->hash & (capacity - 1);

		if (s->hash == 0)
			continue;
		while (slot_at(&bigger, at)->hash != 0)
			at = (at + 1) & (capacity - 1);
		memcpy(slot_at(&bigger, at), s, m->stride);
	}
	free(m->slots);
	*m = bigger;
	return 0;
}

void *map_get(const struct map *m, struct span key)
{
	const struct map_slot *s;

	if (m->count == 0 || !key_fits(m, key))
		return NULL;
	s = find(m, key, map_hash(key) | MAP_USED);
	return s->hash != 0 ? s->value : NULL;
}

int map_replace(struct map *m, struct span key, void *value, void **old)
{
	uint64_t hash;
	struct map_slot *s;
	int err;

	ASSERT(value != NULL);
	*old = NULL;
	if (!key_fits(m, key))
		return -ERR_TOO_BIG;
	hash = map_hash(key) | MAP_USED;
	if (m->capacity > 0) {
		s = find(m, key, hash);
		if (s->hash != 0) {
			*old = s->value;
			s->value = value;
			return 0;
		}
	}
	if (m->count >= m->max)
		return -ERR_FULL;
	if ((uint64_t)(m->count + 1) * 4 > (uint64_t)m->capacity * 3) {
		err = grow(m);
		if (err != 0)
			return err;
	}
	s = find(m, key, hash);
	s->hash = hash;
	s->value = value;
	if (m->key_size == 0)
		s->key[0] = (uint8_t)key.len;
	if (key.len > 0)
		memcpy(s->key + (m->key_size == 0 ? 1 : 0), key.ptr, key.len);
	m->count++;
	return 0;
}

int map_put(struct map *m, struct span key, void *value)
{
	void *old;

	if (map_get(m, key) != NULL)
		return -ERR_EXISTS;
	return map_replace(m, key, value, &old);
}

void *map_remove(struct map *m, struct span key)
{
	uint32_t mask = m->capacity - 1, hole, i;
	struct map_slot *s;
	void *value;

	if (m->count == 0 || !key_fits(m, key))
		return NULL;
	s = find(m, key, map_hash(key) | MAP_USED);
	if (s->hash == 0)
		return NULL;
	value = s->value;
	hole = (uint32_t)((size_t)((uint8_t *)s - m->slots) / m->stride);
	for (i = (hole + 1) & mask; slot_at(m, i)->hash != 0; i = (i + 1) & mask) {
		uint32_t home = (uint32_t)slot_at(m, i)->hash & mask;

		/* An entry may move back into the hole only if its home is not between the hole and it. */
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		memcpy(slot_at(m, hole), slot_at(m, i), m->stride);
		hole = i;
	}
	memset(slot_at(m, hole), 0, m->stride);
	m->count--;
	return value;
}

bool map_next(const struct map *m, uint32_t *pos, struct span *key, void **value)
{
	while (*pos < m->capacity) {
		const struct map_slot *s = slot_at(m, (*pos)++);

		if (s->hash == 0)
			continue;
		if (key != NULL)
			*key = slot_key(m, s);
		*value = s->value;
		return true;
	}
	return false;
}
