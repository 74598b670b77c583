# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of devices by pages: whole, the same for each protocol, and never larger than a message may be."""
import harness

DEVICES = 150


class List(harness.TestCase):
    def test_pages_fit_the_largest_message(self):
        place = self.place(api="max_message: 64KiB")
        place.start()
        place.group()
        place.fleet(DEVICES)
        place.wait_connected(DEVICES)
        api = place.client()
        victim = place.devices()[DEVICES // 2]["id"]
        labels = [{"key": f"label-{i:02}", "value": "v" * 255} for i in range(32)]
        large = api.call("DeviceService/UpdateDevice", {"device": victim, "labels": labels})

        first = api.call("DeviceService/ListDevices", {"pageSize": 1000})
        self.assertGreater(len(first["devices"]), 1)
        self.assertLess(len(first["devices"]), DEVICES)
        self.assertTrue(first["nextPageToken"])
        listed = list(api.pages("DeviceService/ListDevices", "devices", {"pageSize": 1000}))
        ids = [d["id"] for d in listed]
        self.assertEqual(len(set(ids)), DEVICES)
        self.assertEqual(len(ids), DEVICES)
        found = next(d for d in listed if d["id"] == victim)
        self.assertEqual((found["labels"], found["etag"]), (large["labels"], large["etag"]))
        self.assertEqual(found["labels"], labels)

        # the command line speaks gRPC: the packed pages hold more
        self.assertEqual([d["id"] for d in place.devices()], ids)
        one = next(d for d in listed if d["id"] != victim)
        again = api.call("DeviceService/GetDevice", {"device": one["id"]})
        for name in ("guid", "group", "state", "connected", "sourceAddress", "connectedTime", "tlsVersion", "tlsCipher", "createdTime", "etag"):
            self.assertEqual(one[name], again[name], name)


if __name__ == "__main__":
    harness.main()
