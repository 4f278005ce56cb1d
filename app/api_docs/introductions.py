"""The introductions of the API document: of the service, then of each group of operations.

The introduction of a group says in which order its calls are made, in English and in Chinese.
"""

INTRODUCTION = """\
学习组织的目录、认证与报表服务 — the directory, certification and reporting service for learning organisations.

**The words.** An *organisation* has admins, one of whom is the *main admin*, and a directory of *members*. Inside it,
*units* (党总支, 党支部, 部门) form a tree. An organisation can be *certified* under another one, its *superior*. A
member is *activated* when a registered user is linked to the row in the directory.

**Sign in.** The app signs in by phone code, the console and desktop clients by QR scan (RFC 8628), services by client
credentials. All of them get their tokens at `POST /oauth/token`, and find the addresses at
`/.well-known/oauth-authorization-server`.

**Try the calls here.** In development press *Sign in* at the top of the page: it signs in the first administrator of
the newest demo, and a service for the calls of services, and renews the tokens before they end. After `make demo` the
examples run as they are: they contain the ids of that demo, whatever else the database has. Reload the page for new
examples. A few need something that is shown only once (a code, the token of an invitation), a file or a security key.

Anywhere else paste a token under *Authorize*. Three calls give you one:

1. `POST /v1/phone-codes` with your phone sends a code, and its answer has a `handle`. In development
   `GET /v1/simulator/sms?phone=…` shows the code.
2. `POST /oauth/token` with `grant_type=urn:xuezu:params:oauth:grant-type:phone-code`, `client_id=xuezu-app`,
   `phone`, `code` and `handle` gives an `access_token` and a `refresh_token`.
3. `POST /oauth/token` with `grant_type=refresh_token`, `client_id=xuezu-app` and the `refresh_token` gives the next
   pair, before the ten minutes of an access token are over.

**Errors** are RFC 9457 problems (`application/problem+json`). Program against `type`, which never changes. Show `title`
and `detail` to people: Chinese, or English by `Accept-Language`. Below each operation every problem is listed with what
to do about it, and [/problems](/problems) is the catalogue of all of them: each `type` is its address there. The OAuth
endpoints answer in OAuth's own form (RFC 6749 §5.2).

**Conventions.** Ids are UUIDv7. Times are RFC 3339. A day is a day in Asia/Shanghai. What you may not see answers 404,
as what does not exist does. A 201 has a `Location` at which you read what was made.

## Paging

A list takes `limit` (1 to 200) and answers `items`, with `next_cursor` while there is more. Send it back as `cursor`,
with the same filters, until an answer has none. A cursor is opaque: do not build or change one. Rows that are added or
removed meanwhile neither repeat nor hide others.

## Errors

Decide by `type`, then by the extension members that the catalogue lists for it. 401 means: get a token, or the stronger
proof that `WWW-Authenticate` names. 403 and 404 do not change by a repeat. 409 is a conflict with the present state:
read again. 422 is a mistake in the request: `errors` has a JSON pointer to each place. After 429 and 503 wait for the
seconds of `Retry-After`, then send the same request again. Quote `request_id` when you report an error.

## Idempotency

Every POST of a signed-in user honours `Idempotency-Key`. Make one key (a UUID) for each act, before the first try, and
send it again when an answer was lost: within a day you get the stored answer and the act happens once. The same key
with another request is 422, and 409 while the first call still runs. A call that makes a secret stores no answer: its
repeat is 409 `answer-not-stored`. PUT and DELETE need no key. Point events have ids of their own.

## Reads from a standby

Where the service has a standby of its database, reports, rankings and lists of members can be a second old:
`X-Data-As-Of` says for when they are true. The answer to each write then has `X-Consistency`. Send it with your next
reads: they contain that write.

## Versions

Two versions matter. That of a row is its `ETag`: send it as `If-Match` with an edit, and after a 412 read again and
show the person what has changed. That of the API is in the path. Within `/v1` operations, optional parameters, fields
of answers, problems and values of enumerations are added and none is taken away, so ignore fields that you do not know,
and treat an unknown `type` by its status.

## Links

The links that the service hands out, also as QR codes, are addresses of its own host, which an app can claim. The last
part is what a call takes:

- The invitation to be certified, `…/open/join?invitation={token}`: read it with `GET /v1/invitations/{token}`.
- The link to join an organisation, `…/open/join-org?link={token}`: read it with `GET /v1/join-links/{token}`.
- The QR code of a sign-in, `…/open/scan?code={code}`: send the code with `POST /v1/scans`.

An entry of the inbox names the calls that answer it, and a 201 the address of what was made (`Location`). In this
explorer `/docs#/orgs/read_org` is the address of an operation: its group and its `operationId`.
"""

TAGS = [
    (
        "sign-in",
        """\
Get tokens. There are three ways.

- **A phone app**: `POST /v1/phone-codes` sends six digits, then `POST /oauth/token` with the code and
  the handle of the first answer gives the tokens. If it answers `real_name_needed`, the account of the phone was not
  used for 180 days and the number may have a new owner: the person proves the name (`POST /v1/sign-in-proofs`) or
  begins an account of their own, and `POST /oauth/token` with the `proof_token` gives the tokens.
- **A desktop client**: `POST /oauth/device_authorization` gives two codes; show the QR code of `…/qr.svg` and the user
  code beside it. Poll `POST /oauth/token`, or wait at `…/events` after `PUT …/ticket`. Meanwhile the person's app scans
  (`POST /v1/scans`) and approves with the end of the user code (`PUT /v1/scans/{scan_id}/approval`). Any OAuth library
  does this by itself (RFC 8628).
- **A service**: `POST /oauth/token` with its own id and secret.

An access token is good for ten minutes. Get the next one with the refresh token; each refresh token works once.

登录。手机：先获取验证码，再换取令牌。电脑端：申请二维码并轮询令牌，手机扫码后输入屏幕上代码的后四位字母确认。服务：用自己的凭据换取令牌。\
访问令牌有效十分钟，之后用刷新令牌换取新的令牌。""",
    ),
    (
        "me",
        """\
The account of the person who is signed in, whatever organisations they belong to.

1. `GET /v1/me` shows the account. `PATCH /v1/me` declares party membership.
2. An admin needs a verified real name: `POST /v1/me/verifications`.
3. `GET /v1/inbox` lists the requests and invitations that the user can answer, each with its address. `GET /v1/me/orgs`
   lists the organisations.
4. `GET /v1/messages` lists what has become of the user's requests, roles and rows in directories.
5. `GET /v1/me/sessions` shows where the account is signed in, and `DELETE` ends sessions.
6. `PUT /v1/me/phone` changes the phone. A person who has lost it proves the real name again: `POST
   /v1/me/account-recoveries`.

Admins of national and provincial organisations also register a security key. A call that answers 401
`security-key-needed` is repeated after `POST /v1/me/security-key-challenges` and `PUT /v1/me/security-key-check`.

我的账号：查看信息、声明党员身份、实名认证、收件箱、所在组织、登录设备与安全密钥。担任管理员须先实名认证；\
全国和省级组织的管理员还须使用安全密钥。""",
    ),
    (
        "orgs",
        """\
Organisations: create, find, rename and close them.

1. `GET /v1/regions` finds the code of the region. `POST /v1/name-checks` tries a name without creating anything.
2. `POST /v1/orgs` creates the organisation. The caller becomes its main admin, and needs a verified real name.
3. Then add units, members and admins, and apply for certification with the invitation of the superior.
4. `PUT …/closure` closes the organisation, and `DELETE …/closure` undoes it for 7 days.

A new name waits for the consent of the superior, if there is one. Each organisation is created by its own admin.

学习组织：先查地区、检查名称，再创建；创建者成为主管理员。之后添加支部、人员和管理员，并凭上级邀请申请认证。\
有上级的组织更名须经上级同意。""",
    ),
    (
        "units",
        """\
The units inside an organisation: 党总支, 党支部 and 部门, as a tree of up to six levels.

1. `POST …/units` adds a unit, `PATCH` renames or moves it, `DELETE` removes it when it has no members and no units.
2. People are placed in units with the calls under **members**.

A unit has no admins: a program that adds one gets 409 `unit-has-no-admins`. One that has grown becomes an organisation
of its own: an admin offers it with `POST …/promotions`, the named person accepts with
`PUT /v1/me/promotions/{promotion_id}/acceptance` and is its main admin. Its people and units move with it.

组织内的党总支、党支部、部门。支部没有管理员；人数较多的支部可由管理员提出改为独立的学习组织，由指定人员接受后成为主管理员，\
人员随之转入。""",
    ),
    (
        "admins",
        """\
Who administers an organisation. It has exactly one main admin and any number of other admins. Only organisations have
admins; a unit has none.

- **Add an admin**: the main admin sends `POST …/admin-invitations`; the person finds it in `GET /v1/inbox` and accepts
  with `PUT /v1/me/admin-invitations/{invitation_id}/acceptance`. Their real name must be verified by then.
- **Leave**: an admin resigns with `DELETE …/admins/me`; the main admin removes one with `DELETE …/admins/{user_id}`.
- **Hand over, rename**: `POST …/change-requests`. The superior decides with `PUT …/approval` or `PUT …/refusal`;
  without a superior the change takes effect at once.
- **The main admin is no longer available**: another admin requests a recovery with `POST …/change-requests`.

主管理员与学习管理员。支部等单位没有管理员。只有主管理员可以邀请和移除管理员；被邀请人在收件箱中接受。更名和更换主管理员由上级同意，没有上级的立即生效；\
主管理员无法履职时，其他管理员可申请更换。""",
    ),
    (
        "certification",
        """\
The hierarchy of organisations: who is certified under whom. An organisation has at most one superior.

- **Certify**: the superior sends `POST …/invitations` and gives the link or the QR code to the subordinate. The
  subordinate reads it (`GET /v1/invitations/{token}`) and applies (`POST …/applications`). The superior decides with
  `PUT …/approval` or `PUT …/refusal`, or several with `POST …/application-decisions`.
- **Transfer** to another superior: the main admin sends `POST …/transfers` with the invitation of the new superior.
  The present superior releases (`PUT …/release`), then the new one accepts (`PUT …/acceptance`). Both read
  `GET …/transfers/{transfer_id}` first and send back the version of its preview.
- **Merger** into another organisation, or into a unit of it: the main admin sends `POST …/mergers`, an admin of the
  other one reads `GET …/mergers/{merger_id}` and accepts with `PUT …/acceptance`.
- **Release**: the superior ends a certification with `DELETE …/subordinates/{subordinate_id}`.

上下级认证：上级发出邀请，下级凭链接或二维码申请，上级确认。整体转移：主管理员凭新上级的邀请申请，原上级同意转出，新上级接收，\
下级随之转移。""",
    ),
    (
        "members",
        """\
The directory of an organisation: its people, and the units in which they are.

1. `POST …/members` adds one person; a whole sheet comes in with the calls under **imports**.
2. `PUT …/units` sets the units of a person, `POST …/copies` adds one unit, `POST …/moves` moves people out of a unit
   (`POST …/moves/previews` says first who would leave which unit).
3. A row is activated when a registered user has its phone. Where the phone differs, the user sends
   `POST /v1/me/link-requests`, and an admin accepts with `PUT …/link-requests/{request_id}/acceptance`.
4. A person who is not in the directory asks with `POST /v1/me/join-requests`, by the name of the organisation or by a
   link (`POST …/join-links`); an admin accepts with `PUT …/join-requests/{request_id}/acceptance`.
5. A person sees where they are with `GET /v1/me/memberships`, and asks to be removed with
   `POST /v1/me/removal-requests`; an admin accepts with `PUT …/removal-requests/{request_id}/acceptance`.
6. A person goes to another organisation with the consent of both: the present one asks with
   `POST …/members/{member_id}/transfers`, the other one takes the person in with
   `PUT …/person-transfers/{transfer_id}/acceptance`. Several people go with `POST …/group-transfers`;
   `POST …/group-transfers/sheets` finds them by a sheet of names and phones.

Phones are masked. `POST …/phone-disclosures` shows one in full and `POST …/phone-searches` finds who has a whole one;
each writes an audit entry. Removing or editing a member
never changes the account or its points.

党员与学员：添加、编辑、调整支部、移除与恢复；激活与关联申请；本人申请加入，由管理员接受；经双方同意转到另一组织。移除或修改不影响注册信息和积分。""",
    ),
    (
        "imports",
        """\
Bring a sheet of people into the directory. Nothing is written before it is confirmed.

1. `GET …/imports/template` gives the sheet to fill in.
2. `POST …/imports` uploads it. A job checks it: wait at `…/progress`, or read the import until its state is `ready`.
3. `reading` of the import says what each column was read as, and which rows were skipped. `PUT …/reading` has the file
   read in another way. `GET …/rows` shows what would become of each row.
4. `PUT …/confirmation` starts the job that writes all accepted rows, or none of them.
5. `GET …/failed-rows.xlsx` gives the refused rows with the reasons: correct them and upload that file.

The same file a second time changes nothing.

批量导入：下载模板、填写、上传、查看预览、确认；有错误的行可单独下载，修改后再次上传。确认之前不会改动通讯录。""",
    ),
    (
        "exports",
        """\
Files that the caller has requested: members, reports, rankings.

1. The call that starts an export is with its subject, for example `POST …/members/exports`. It answers 202, and
   `Location` names the export.
2. Read that address until `state` is `done`.
3. `GET …/content` downloads the file, within a day. `DELETE` removes it earlier.

导出文件：由各功能发起，查询进度，完成后一天内可下载，也可提前删除。每人只见自己的导出。""",
    ),
    (
        "points",
        """\
Services that hand out points send them here, in batches of up to 1,000 events: `POST /v1/point-events`.

Send a batch again whenever its answer was lost: an event that is counted already answers `duplicate`. The ledger is
append-only, so a wrong event is corrected by a further one. Users read their own points with `GET /v1/me/points`.

积分：由接入的服务成批提交，每个事件只计一次，重复提交无妨；流水只追加不修改，更正以新的事件提交。""",
    ),
    (
        "reports",
        """\
Figures about an organisation and everything below it.

1. `GET …/reports/overview` gives the organisation, its whole subtree, and both compared with the period before.
2. `GET …/reports/subordinates` and `…/reports/units` break them down. `GET …/reports/trend` shows them day by day.
3. `GET …/rankings` ranks the people of one organisation, for these people themselves.
4. Each of them has an export (`POST …/exports`).

An admin sees their own organisation in full, and only totals of the organisations below it.

概况、下级对比、支部数据、趋势与组内排名，均可导出。管理员完整查看本组织；对下级只见汇总数据。""",
    ),
    (
        "audit",
        """\
Who did what to an organisation, and when. Every write leaves an entry in the same transaction; entries never change.

Read `GET …/audit` with filters, and follow `next_cursor` to older entries.

操作记录：谁在何时从何处做了什么。记录不可修改。""",
    ),
    (
        "operator",
        """\
For platform operators, each with a proved security key. `xuezu operators add` makes an operator.

- **ID cards**: `GET /v1/operator/verifications` lists them, `PUT …/review` shows one, then `PUT …/approval` or
  `PUT …/rejection` decides.
- **Accounts**: find one by its phone, recover from lost security keys, suspend a user, end a suspension.
- **Organisations without a superior**: decide recoveries, or name a main admin where no admin is left.
- **Organisations of an old system**: `GET …/org-loads/template` gives the sheet to fill in, `POST …/org-loads` uploads
  it. Read the load until its state is `ready`, look at its rows, and confirm what you have seen with
  `PUT …/confirmation`. `PUT …/reversal` closes what it has created, as long as it is not in use.
- **Clients**: register programs and services, rotate secrets, revoke.

平台管理员：身份证审核、安全密钥恢复、停用账号、没有上级的组织更换主管理员、载入原系统的组织、服务接入。须使用安全密钥。""",
    ),
    (
        "simulators",
        """\
In development only: the other side of the SMS gateway and of Alipay, for trying things out without either.

After a call that sends a message, read it at `GET /v1/simulator/sms`. After `POST /v1/me/verifications` by Alipay, open
the `redirect_url` in a browser and consent. `POST /v1/simulator/clients` makes a service client that may send points.

仅开发环境：短信与支付宝的测试提供方。""",
    ),
    (
        "health",
        """\
For the machine that runs the service: `GET /livez` says whether to restart it, and `GET /readyz` whether to send it
traffic. For programs that call it: `GET /problems` explains every error.

存活与就绪，供部署平台使用；错误目录，供调用方查阅。""",
    ),
]
