"""Names are compared by their keys: siblings that differ only in width, blanks, dots, case or the kind of brackets have
one name."""

from alembic import op

from app.database.indexes import create_index

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Radicals and private-use code points that stand for a character, as in app.core.characters.
DOUBLES = {
    0x2E81: "厂乛乚乙亻冂𠘨刀刂卜㔾小尐兀尣尢𡯂巳幺彑彐忄心扌攵",
    0x2E9B: (
        "旡日月歺母民氵氺灬爫爬丬牛犭王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫羊𦍌𦍋耂肀聿肉𦥑艹艺艻虎衤覀西见角𧢲"
        "讠贝𧾷车辶辷辸邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀龟"
    ),
    0x2F00: (
        "一丨丶丿乙亅二亠人儿入八冂冖冫几凵刀力勹匕匚匸十卜卩厂厶又口囗土士夂夊夕大女子宀寸小尢尸屮"
        "山巛工己巾干幺广廴廾弋弓彐彡彳心戈戶手支攴文斗斤方无日曰月木欠止歹殳毋比毛氏气水火爪父爻爿"
        "片牙牛犬玄玉瓜瓦甘生用田疋疒癶白皮皿目矛矢石示禸禾穴立竹米糸缶网羊羽老而耒耳聿肉臣自至臼舌"
        "舛舟艮色艸虍虫血行衣襾見角言谷豆豕豸貝赤走足身車辛辰辵邑酉釆里金長門阜隶隹雨靑非面革韋韭音"
        "頁風飛食首香馬骨高髟鬥鬯鬲鬼魚鳥鹵鹿麥麻黃黍黑黹黽鼎鼓鼠鼻齊齒龍龜龠"
    ),
    0xE76C: "€",
    0xE78D: "︐︒︑︓︔︕︖︗︘︙",
    0xE7C7: "ḿǹ",
    0xE7E7: "〾⿰⿱⿲⿳⿴⿵⿶⿷⿸⿹⿺⿻",
    0xE815: (
        "厂𠂇𠂉𠃌乙㑳㑇刀㔾龴㖞㘚㘎小心㥮㤘龵㧏㧟㩳㧐龶龷㭎㱮㳠牛𡗗龸𤴔䁖䅟𥫗䌷㓁羊𦍌𢦏䎱䎬聿䏝䓖䙡"
        "䙌龹䜣䜩䝼䞍𧾷䥇䥺䥽䦂䦃䦅䦆䦟䦛䦷䦶龺𤇾䲣䲟䲠䲡䱷䲢䴓䴔䴕䴖䴗䴘䴙䶮龻"
    ),
}
SEEN = "".join(chr(first + number) for first, run in DOUBLES.items() for number in range(len(run)))
REAL = "".join(DOUBLES.values())
# The marks of app.core.names, and what they are in a key; those without a counterpart are dropped.
DOTS = "\u00b7\u0387\u2022\u2024\u2027\u2219\u22c5\u25cf\u30fb。"
HYPHENS = "\u2010\u2012\u2013\u2014\u2015\u2212"
MARKS = DOTS + HYPHENS + "（[{〔【〖）]}〕】〗" + " \t\r\n\u1680\"'`´‘’“”„「」『』ʼ′″"
IN_KEY = "." * len(DOTS) + "-" * len(HYPHENS) + "(" * 6 + ")" * 6


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# A name of plain Han characters is its own key. In plpgsql, because a function in SQL takes five times as long to call
# where it is not inlined.
NAME_KEY = f"""
CREATE OR REPLACE FUNCTION name_key(name text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF name !~ '[^\u4e00-\u9fff]' THEN
        RETURN name;
    END IF;
    RETURN normalize(regexp_replace(translate(
        lower(normalize(translate(name, {_quote(SEEN)}, {_quote(REAL)}), NFKC) COLLATE pg_c_utf8),
        {_quote(MARKS)}, {_quote(IN_KEY)}
    ), '[\ufe00-\ufe0f\U000e0100-\U000e01ef]|(?<![0-9])[.-]|[.-](?![0-9])', '', 'g'), NFC);
END
$$
"""
OLD_NAME_KEY = """
CREATE OR REPLACE FUNCTION name_key(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lower(translate(normalize(name, NFKC), ' ·•・‧∙⋅●.-''’', ''))
"""
NAME_GRAMS = """
CREATE OR REPLACE FUNCTION name_grams(name text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    key text := {key}(name);
    grams text[] := string_to_array(key, NULL);
BEGIN
    FOR i IN 1 .. length(key) - 1 LOOP
        grams := grams || substr(key, i, 2);
    END LOOP;
    RETURN grams;
END
$$
"""
KEY_OF_REQUESTS = """
UPDATE link_requests AS r SET name_key = name_key(u.verified_name) FROM users AS u
WHERE u.id = r.user_id AND r.state = 'pending' AND u.verified_name IS NOT NULL
    AND r.name_key <> name_key(u.verified_name)
"""

# Siblings may have one name already: the oldest has the number 0, and each other one a number of its own until it is
# renamed. A new name has the number 0.
NUMBER_UNITS = """
UPDATE units AS u SET name_number = s.number FROM (
    SELECT org_id, id,
        row_number() OVER (PARTITION BY org_id, parent_id, name_key(name) ORDER BY created_at, id) - 1 AS number
    FROM units WHERE removed_at IS NULL
) AS s
WHERE s.number > 0 AND u.org_id = s.org_id AND u.id = s.id
"""
NUMBER_ORGS = """
UPDATE certifications AS c SET name_number = s.number FROM (
    SELECT id,
        row_number() OVER (PARTITION BY superior_id, name_key(subordinate_name) ORDER BY certified_at, id) - 1 AS number
    FROM certifications WHERE state = 'live'
) AS s
WHERE s.number > 0 AND c.id = s.id
"""
RENAMED = (
    """
CREATE OR REPLACE FUNCTION reset_name_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name_number := 0;
    RETURN NEW;
END $$
""",
    """
CREATE OR REPLACE TRIGGER units_renamed BEFORE UPDATE OF name, parent_id ON units
    FOR EACH ROW WHEN (OLD.name_number > 0) EXECUTE FUNCTION reset_name_number()
""",
    """
CREATE OR REPLACE TRIGGER certifications_renamed BEFORE UPDATE OF subordinate_name ON certifications
    FOR EACH ROW WHEN (OLD.name_number > 0) EXECUTE FUNCTION reset_name_number()
""",
)
UNIQUE = (
    (
        "units_org_id_parent_id_name_key",
        "units",
        ["org_id", "parent_id", "name_key(name)", "name_number"],
        "removed_at IS NULL",
    ),
    (
        "certifications_sibling_name_key",
        "certifications",
        ["superior_id", "name_key(subordinate_name)", "name_number"],
        "state = 'live'",
    ),
)


def upgrade() -> None:
    op.execute(NAME_KEY)
    op.execute(NAME_GRAMS.format(key="name_key"))
    op.execute(KEY_OF_REQUESTS)
    for table in ("units", "certifications"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS name_number integer NOT NULL DEFAULT 0")
    op.execute(NUMBER_UNITS)
    op.execute(NUMBER_ORGS)
    for statement in RENAMED:
        op.execute(statement)
    for name, table, columns, where in UNIQUE:
        create_index(f"{name}_new", table, columns, where=where, unique=True, nulls_not_distinct=True)
    create_index("orgs_region_code_name_key_idx", "orgs", ["region_code", "name_key(name)"])
    live = "state = 'live'"
    create_index("certifications_by_name_idx", "certifications", ["superior_id", "subordinate_name"], where=live)
    op.execute("""
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX units_org_id_parent_id_name_key, certifications_sibling_name_key, orgs_region_code_name_idx
""")
    for name, *_ in UNIQUE:
        op.execute(f"-- squawk-ignore renaming-object\nALTER INDEX {name}_new RENAME TO {name}")


def downgrade() -> None:
    op.execute(
        "DROP INDEX units_org_id_parent_id_name_key, certifications_sibling_name_key, orgs_region_code_name_key_idx"
    )
    op.execute("DROP INDEX certifications_by_name_idx")
    for statement in (
        "CREATE UNIQUE INDEX units_org_id_parent_id_name_key ON units (org_id, parent_id, name) NULLS NOT DISTINCT "
        "WHERE removed_at IS NULL",
        "CREATE UNIQUE INDEX certifications_sibling_name_key ON certifications (superior_id, subordinate_name) "
        "WHERE state = 'live'",
        "CREATE INDEX orgs_region_code_name_idx ON orgs (region_code, name)",
    ):
        op.execute(f"-- squawk-ignore require-concurrent-index-creation\n{statement}")
    for table in ("units", "certifications"):
        op.execute(f"DROP TRIGGER {table}_renamed ON {table}")
        op.execute(f"ALTER TABLE {table} DROP COLUMN name_number")
    op.execute("DROP FUNCTION reset_name_number")
    op.execute(NAME_GRAMS.format(key="lower"))
    op.execute(OLD_NAME_KEY)
