/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pki.h: Causeway's own certificates: the root made at first start (RSA-3072, kept), the MPS leaf for the CIRA port and the leaf
 * for the API, both renewed from the root. Files in the data folder: root.crt, root.key, mps.crt, mps.key, api.crt, api.key.
 * Blocks on disk and RSA key generation: not on a loop's hot path.
 */
#pragma once

#include "core/buf.h"

#define PKI_PEM_MAX       (64 * 1024)
#define PKI_ROOT_YEARS    30
#define PKI_LEAF_DAYS     397
#define PKI_RENEW_DAYS    60  /* a leaf with less left is made anew */
#define PKI_BACKDATE_DAYS 366 /* device clocks may be wrong (apf.md 2) */

/*
 * pki_mps_pem: the CIRA port's certificate (leaf, then root) and key, with CN = name, which AMT compares with the address it was
 * given. Makes root and leaf where missing, renews the leaf when it is near its end or named otherwise. 0 or negative with why.
 */
int pki_mps_pem(const char *data_dir, const char *name, struct buf *cert_pem, struct buf *key_pem,
                struct buf *why) MUST_CHECK;
