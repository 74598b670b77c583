# SPDX-License-Identifier: GPL-3.0-or-later
"""A device that forwards only 16993: TLS inside the channel, its certificate pinned at first use, a changed one refused."""
import harness


class Pin(harness.TestCase):
    def test_pin_change_and_unpin(self):
        gateway = self.place().start()
        gateway.group()
        fleet = gateway.fleet(2, "--profile", "tls-only", seed=16993)
        guid, other = (d["guid"] for d in gateway.wait_connected(2))
        gateway.cli("power", "get", guid)
        first = gateway.order(fleet, f"cert {guid}").rsplit(" ", 1)[1]

        def device():
            return gateway.call("DeviceService/GetDevice", {"device": guid})
        seen = device()
        self.assertEqual(seen["forwardedPorts"], [16993])
        self.assertEqual(seen["pinnedCertificateSha256"], first)
        boots = gateway.boots(fleet, guid)
        gateway.cli("power", "set", guid, "cycle")
        self.assertEqual(gateway.boots(fleet, guid), boots + 1)
        self.assertIn("<", gateway.cli("wsman", "get", guid, "AMT_GeneralSettings"))

        second = gateway.order(fleet, f"cert {guid} new").rsplit(" ", 1)[1]
        self.assertNotEqual(first, second)
        gateway.order(fleet, f"drop {guid}")
        harness.wait_for("the device to be back", lambda: device().get("connects", "0") == "2" and device().get("connected"))
        for command in (["power", "get", guid], ["power", "set", guid, "reset"], ["wsman", "get", guid, "AMT_GeneralSettings"]):
            said = gateway.cli(*command, expect=None)
            self.assertNotEqual(said.returncode, 0)
            self.assertIn(first, said.stderr.lower())
            self.assertIn(second, said.stderr.lower())
            self.assertIn("unpin", said.stderr.lower())
        with self.assertRaises(harness.ApiError) as caught:
            gateway.call("PowerService/GetPowerState", {"device": guid})
        self.assertEqual(caught.exception.code, "failed_precondition")
        self.assertEqual(device()["pinnedCertificateSha256"], first)
        self.assertEqual(gateway.boots(fleet, guid), boots + 1)
        self.assertTrue(device()["connected"])
        gateway.cli("power", "get", other)

        gateway.cli("device", "unpin", guid)
        gateway.cli("power", "get", guid)
        self.assertEqual(device()["pinnedCertificateSha256"], second)


if __name__ == "__main__":
    harness.main()
