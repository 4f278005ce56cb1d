"""Loading the orgs of an old system from a sheet, by the platform operator (S3, E3): upload, check, preview, a job that
creates the orgs and their edges, a result for each row, and the reversal of a load.

Tables: `org_loads`, `org_load_rows`, `org_load_files`. Entry points: `router`, and `xuezu load-orgs`.

**Names stay as they are.** An org of the old system may have the suffix 学习管理组. All other rules of names hold.

**A loaded org has no main admin at first.** An admin is verified and has consented (S1, S4), and an operator can give
neither the verification nor the consent of another person. The service tells no caller whether a phone belongs to a
verified user, so the sheet is not compared with the accounts. The person that the sheet names gets an offer by phone
and name. The org has its main admin when the person accepts (`admins.recovery_offers`).

**The operator certifies.** The edge under the superior of the sheet is live at once, without an application: it
continues what was certified in the old system. A load gives no superior to an org that exists already, so no edge can
close a circle.
"""
