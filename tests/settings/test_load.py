"""Reading settings: defaults, every mistake at once, and nothing secret in any sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, RootModel

from appliance.hookspecs import SettingsSection
from appliance.settings import (
    CORE_SECTIONS,
    SecretFile,
    Section,
    Settings,
    SettingsError,
    load_settings,
    peek_language,
    read_plugins_settings,
)
from appliance.text import T


class Shelf(Section):
    path: Path
    depth: int = 1


class Shelves(RootModel[tuple[Shelf, ...]]):
    root: tuple[Shelf, ...] = ()


class Lamp(Section):
    class Colour(Section):
        red: int = 0

    colour: Colour = Colour()
    pin: int | None = None


SECTIONS = (SettingsSection("shelves", Shelves), SettingsSection("lamp", Lamp))

SIZE = "write a size such as 500 GB, 1.5 TB or 16 MiB."
TOML = "Texts stand in quotes, lists in brackets, tables begin with their name in brackets."
PLANNED = "write a time such as 02:00, mon-fri 02:00, or the five fields of cron such as 30 2 * * sat,sun."
HOST = "write a name such as kura.example.jp, without http:// and without a port."
LISTEN = "write an address of this machine such as 0.0.0.0 (every one), 127.0.0.1 or ::."

Load = Callable[[str], Settings]
Mistakes = Callable[[str], list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(text: str) -> Settings:
        file = tmp_path / "config.toml"
        file.write_text(text, encoding="utf-8")
        return load_settings(file, SECTIONS)

    return loaded


@pytest.fixture
def mistakes(load: Load, tmp_path: Path) -> Mistakes:
    """The sentences about a settings text, without the name of the file."""

    def said(text: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            load(text)
        return [str(mistake).removeprefix(f"{tmp_path}/config.toml, ") for mistake in caught.value.mistakes]

    return said


def test_an_empty_file_is_a_box_that_is_not_set_up(load: Load) -> None:
    settings = load("")
    assert (settings.vault, settings.cloud, settings.password_file) == (None, None, None)
    assert settings.schedule.backup == ("02:00",)
    assert settings.box.socket_path == Path("/run/kurabako/control.sock")
    assert settings.box.name
    assert settings.plugins == {"shelves": Shelves(), "lamp": Lamp()}
    assert list(settings.tables()) == [
        *(name for name in CORE_SECTIONS if name not in ("vault", "cloud")), "shelves", "lamp",
    ]  # fmt: skip


def test_what_is_written_is_what_is_in_force(load: Load) -> None:
    settings = load(
        """
        [vault]
        path = "/srv/vault"
        password_file = "/etc/kurabako/password"
        [cloud]
        url = "s3:https://s3.example.jp/bucket/box1"
        password_file = "cloud-password"
        part_limit = "64 MiB"
        [contract]
        capacity = "1.5 TB"
        reserve = 1_000
        [schedule]
        backup = ["02:00", "mon-fri 12:30", "30 2 * * sat,sun"]
        timezone = "UTC"
        [web]
        listen = "::"
        hosts = ["kura.example.jp", "backup", "xn--w8yz0b.example.jp."]
        [[shelves]]
        path = "/a"
        [[shelves]]
        path = "/b"
        depth = 2
        [lamp.colour]
        red = 3
        """
    )
    assert settings.vault is not None
    assert settings.cloud is not None
    assert settings.vault.path == Path("/srv/vault")
    assert settings.password_file == SecretFile("/etc/kurabako/password")
    assert settings.cloud.part_limit == 64 * 1024**2
    assert (settings.contract.capacity, settings.contract.reserve) == (1_500_000_000_000, 1000)
    assert settings.schedule.backup[1] == "mon-fri 12:30"
    assert settings.web.hosts == ("kura.example.jp", "backup", "xn--w8yz0b.example.jp.")
    assert settings.plugins["shelves"] == Shelves((Shelf(path=Path("/a")), Shelf(path=Path("/b"), depth=2)))
    assert settings.plugins["lamp"] == Lamp(colour=Lamp.Colour(red=3))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[box]\nlangauge = 'ja'", "line 2: there is no setting box.langauge; is box.language meant?"),
        ("[box]\nlanguage = 'fr'", "line 2: box.language = \"fr\": write one of 'ja', 'en'."),
        ("[box]\nname = 'a b'", 'line 2: box.name = "a b": write a host name: up to 63 letters, digits and hyphens.'),
        (
            "[box]\ntimezone = 'Asia/Tokio'",
            'line 2: box.timezone = "Asia/Tokio": write a time zone such as Asia/Tokyo or UTC.',
        ),
        (
            "[box]\nstate_dir = 'state'",
            'line 2: box.state_dir = "state": write an absolute path without .., such as /srv/vault.',
        ),
        ("[bocks]", "line 1: there is no setting bocks; is box meant?"),
        ("[completely_unknown]", "line 1: there is no setting completely_unknown."),
        ("box = 3", "line 1: box = 3: this is a table: write its settings below its name in brackets."),
        ("\n[vault]\n", "line 2: the table [vault] needs the setting path."),
        ("[contract]\ncapacity = '500 GX'", f'line 2: contract.capacity = "500 GX": {SIZE}'),
        ("[contract]\ncapacity = 0", "line 2: contract.capacity = 0: write a number greater than 0."),
        ("[contract]\ncapacity = true", f"line 2: contract.capacity = true: {SIZE}"),
        (
            "[contract]\ncapacity = 1000\nreserve = 1000",
            "line 1: contract: the reserve must be smaller than the capacity.",
        ),
        ("[schedule]\nbackup = [\n'02:00',\n'24:00']", f'line 4: schedule.backup = "24:00": {PLANNED}'),
        (
            "[schedule]\nbackup = '02:00'",
            'line 2: schedule.backup = "02:00": write a list in brackets, such as ["one", "two"].',
        ),
        ("[web]\nport = 0", "line 2: web.port = 0: write 1 or more."),
        ("[web]\nport = 'http'", 'line 2: web.port = "http": write a whole number without quotes.'),
        ("[web]\nhosts = [\n'a.jp',\n'http://b.jp']", f'line 4: web.hosts = "http://b.jp": {HOST}'),
        ("[web]\nhosts = ['b.jp:8080']", f'line 2: web.hosts = "b.jp:8080": {HOST}'),
        ("[web]\nhosts = ['*.jp']", f'line 2: web.hosts = "*.jp": {HOST}'),
        ("[web]\nhosts = ['']", f'line 2: web.hosts = "": {HOST}'),
        ("[web]\nenabled = 'maybe'", 'line 2: web.enabled = "maybe": write true or false, without quotes.'),
        ("[web]\nlisten = 'everywhere'", f'line 2: web.listen = "everywhere": {LISTEN}'),
        ("[plugins]\ntime_budget = 0", "line 2: plugins.time_budget = 0: write a number greater than 0."),
        ("[lamp]\n[lamp.colour]\nread = 3", "line 3: there is no setting lamp.colour.read; is lamp.colour.red meant?"),
        ("[lamp]\ncolour = { red = 'x' }", 'line 2: lamp.colour.red = "x": write a whole number without quotes.'),
        ("[[shelves]]\npath = '/a'\n[[shelves]]\ndepth = 3", "line 3: the table [shelves] needs the setting path."),
        (
            "[[shelves]]\npath = '/a'\n[[shelves]]\npath = '/b'\ndept = 3",
            "line 5: there is no setting shelves.dept; is shelves.depth meant?",
        ),
    ],
)
def test_a_mistake_is_told_with_line_value_and_what_is_allowed(mistakes: Mistakes, text: str, said: str) -> None:
    assert mistakes(text) == [said]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    text = "[web]\nport = 0\n[lamp]\npin = 'x'\n[box]\nlanguage = 'fr'\n[wbe]\n"
    assert [said.partition(":")[0] for said in mistakes(text)] == ["line 2", "line 4", "line 6", "line 7"]


@pytest.mark.parametrize(
    "text",
    [
        "[cloud]\nurl = 's3:https://h/b'\nsecret_access_key = 's3cr3t'",
        "[cloud]\nurl = 's3:https://user:s3cr3t@h/b'",
        "[lamp]\npassword = 's3cr3t'",
        "[cloud]\nurl = 's3:https://h/b'\nsecret_access_key_file = 's3/cr3t'",
    ],
)
def test_no_sentence_quotes_what_may_be_a_secret(mistakes: Mistakes, text: str) -> None:
    (said,) = mistakes(text)
    assert "s3cr3t" not in said


def test_the_parts_of_a_key_belong_together(mistakes: Mistakes) -> None:
    assert mistakes("[cloud]\nurl = 's3:https://h/b'\naccess_key_id = 'AK'") == [
        "line 1: cloud: access_key_id and secret_access_key_file belong together: set both or neither."
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[box]\nname = kura", f"line 2: this is not valid TOML (Invalid value). {TOML}"),
        ("a = 1\n[box", f"line 2: this is not valid TOML (Expected ']' at the end of a table declaration). {TOML}"),
        ("[box]\nname = 'a'\nname = 'b'\n", "line 3: this table or setting stands there a second time."),
        ("[box]\n[web]\n[box]\n", "line 3: this table or setting stands there a second time."),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(mistakes: Mistakes, text: str, said: str) -> None:
    assert mistakes(text) == [said]


def test_what_is_no_text_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes("[box]\nname = '蔵'".encode("shift_jis"))
    with pytest.raises(SettingsError, match="line 2: this is not UTF-8 text"):
        load_settings(file)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no settings file .*absent\.toml"):
        load_settings(tmp_path / "absent.toml")
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(tmp_path)


def test_sentences_are_japanese_for_japanese_readers(load: Load, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load("[web]\nport = 0\n[bocks]\n")
    first, second, *_ = caught.value.render("ja").splitlines()
    assert first == f"{tmp_path}/config.toml の 2 行目：web.port = 0：1 以上の値を指定してください。"
    assert second.startswith(f"{tmp_path}/config.toml の 3 行目：bocks という設定はありません。box の間違い")


def test_a_validator_of_a_plugin_speaks_its_own_words(tmp_path: Path) -> None:
    class Odd(BaseModel):
        number: int

        def model_post_init(self, _: object) -> None:
            if self.number % 2 == 0:
                raise ValueError(T("write an odd number"))

    file = tmp_path / "config.toml"
    file.write_text("[odd]\nnumber = 2\n")
    with pytest.raises(SettingsError, match="line 1: odd: write an odd number"):
        load_settings(file, [SettingsSection("odd", Odd)])


def test_a_table_nobody_knows_is_ignored_only_while_a_plugin_does_not_work(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[tape]\nspeed = 3\n")
    assert load_settings(file, allow_unknown_tables=True).ignored == ("tape",)
    with pytest.raises(SettingsError):
        load_settings(file)


def test_a_mistake_about_plugins_hides_no_other(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[box]\nlanguage = "fr"\n[plugins]\ntime_budget = 0\n[web]\nport = 0\n[tape]\nspeed = 3\n')
    with pytest.raises(SettingsError) as caught:
        read_plugins_settings(file)
    said = [str(mistake) for mistake in caught.value.mistakes]
    assert [line for line in (2, 4, 6) if f"line {line}:" in said[(2, 4, 6).index(line)]] == [2, 4, 6]
    assert len(said) == 3, "whose table [tape] is, nobody knows yet"


def test_the_table_plugins_is_read_before_the_plugins(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    assert read_plugins_settings(file).blocked == ()
    file.write_text('[tape]\nspeed = 3\n[plugins]\nblocked = ["smb"]\n')
    assert read_plugins_settings(file).blocked == ("smb",)
    file.write_text('[plugins]\nblocked = "smb"\n')
    with pytest.raises(SettingsError, match="line 2"):
        read_plugins_settings(file)


@pytest.mark.parametrize(
    ("text", "language"),
    [("[box]\nlanguage = 'en'", "en"), ("[box]\nlanguage = 'fr'", None), ("box = 1", None), ("[", None), ("", None)],
)
def test_the_language_is_found_whatever_else_is_wrong(tmp_path: Path, text: str, language: str | None) -> None:
    file = tmp_path / "config.toml"
    assert peek_language(file) is None
    file.write_text(text)
    assert peek_language(file) == language


def test_the_clouds_options_carry_the_secret_and_settings_do_not_show_it(load: Load, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cr3t\n")
    key.chmod(0o600)
    settings = load(
        f"[cloud]\nurl = 's3:https://h/b'\naccess_key_id = 'AK'\nsecret_access_key_file = '{key}'\nregion = 'jp-1'"
    )
    assert settings.cloud is not None
    assert settings.cloud.options() == {
        "access_key_id": "AK",
        "secret_access_key": "s3cr3t",
        "region": "jp-1",
        "part_limit": 200 * 1024**2,
    }
    assert "s3cr3t" not in repr(settings)
