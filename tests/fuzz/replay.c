/* SPDX-License-Identifier: GPL-3.0-or-later */
/* replay.c: runs a fuzz target over the files of the folders given, once each, without a fuzzing engine. */
#include "core/buf.h"
#include "core/err.h"
#include "core/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly as many octets as the file has, so that a sanitizer sees a read beyond. */
static int replay_file(const char *path)
{
	struct buf b;
	uint8_t *exact;
	int err;

	buf_init(&b, INPUT_MAX);
	err = file_read(path, &b);
	exact = malloc(b.len > 0 ? b.len : 1);
	if (err != 0 || exact == NULL) {
		fprintf(stderr, "%s: %s\n", path, err_text(err));
		free(exact);
		buf_free(&b);
		return 1;
	}
	if (b.len > 0)
		memcpy(exact, b.data, b.len);
	(void)LLVMFuzzerTestOneInput(exact, b.len);
	free(exact);
	buf_free(&b);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		const struct dirent *e;

		if (d == NULL) {
			fprintf(stderr, "%s: cannot be opened\n", argv[i]);
			return 1;
		}
		while ((e = readdir(d)) != NULL) {
			char path[PATH_MAX];

			if (e->d_name[0] == '.')
				continue;
			if (file_path(path, sizeof(path), argv[i], e->d_name) != 0 ||
			    replay_file(path) != 0)
				return 1;
			n++;
		}
		(void)closedir(d);
	}
	printf("%u inputs\n", n);
	return n > 0 ? 0 : 1;
}
