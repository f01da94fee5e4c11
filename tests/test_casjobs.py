"""CasJobs in both forms: the catalogue arrives complete, jobs outlive the process, and a user's fault is one line."""

import hashlib
import json
import logging

import numpy as np
import pytest

from loopback_sky import SECRET, identity, patience, settings
from sanspec import config
from sanspec.archive import answers, casjobs, casjobs_rest, credentials, cubes
from sanspec.archive import catalogue as source
from sanspec.archive.casjobs_rest import RestCasJobs
from sanspec.archive.casjobs_run import CasJobsRun, name_table
from sanspec.archive.casjobs_soap import SoapCasJobs
from sanspec.archive.session import Session, Stopped
from sanspec.database import catalogue, manifest, query
from sanspec.errors import SanspecError

pytest_plugins = "loopback_fixtures"

FORMS = {"casjobs": (RestCasJobs, "sciserver"), "casjobs_soap": (SoapCasJobs, "casjobs")}


class Talk:
    """One process's conversation with CasJobs."""

    def __init__(self, loopback, folder, form, **changes):
        self.settings = settings(loopback.base, folder, service=form, **changes).acquire
        self.session = Session(self.settings.http)
        client, kind = FORMS[form]
        self.service = client(self.session, self.settings, credentials.find(kind))

    def rows(self, engine, pairs, columns=("specObjID", "objID")):
        return sum(map(len, self.run(engine).rows(pairs, columns)))

    def run(self, engine):
        return CasJobsRun(self.service, engine, self.settings)


@pytest.fixture(params=FORMS)
def form(request, account):
    """Each form of CasJobs, with credentials."""
    return request.param


@pytest.fixture
def engine(tmp_path):
    """A database."""
    with catalogue.database(f"sqlite:///{tmp_path}/survey.db") as found:
        yield found


PAIRS = [(identity(n)["specobjid"], identity(n)["objid"]) for n in range(60)]
PAIRS.sort()
DIGEST = hashlib.sha256(np.asarray(PAIRS, "<u8").tobytes()).hexdigest()


def passing(sky):
    """Which objects pass each form of the query."""
    frame = answers.read_text((sky / "catalogue.csv").read_text())
    flagged = frame.index % 37 == 5
    frame.loc[flagged, "flags_r"] |= query.BAD_COUNTS_ERROR
    return {form: query.passes(frame, form, 0.05, 0.15) for form in query.FORMS}


# ---------------------------------------------------------------------------------------------- the catalogue


def test_the_catalogue_arrives_whole(loopback, form, engine, tmp_path, sky):
    talk = Talk(loopback, tmp_path, form)
    good = passing(sky)
    assert talk.rows(engine, PAIRS) == (good["as_printed"] | good["corrected"]).sum()
    assert (good["as_printed"] != good["corrected"]).sum() >= 3, "the forms differ"


def test_pages_are_put_together(loopback, account, engine, tmp_path, monkeypatch):
    one = Talk(loopback, tmp_path / "a", "casjobs").rows(engine, PAIRS)
    monkeypatch.setattr(casjobs_rest, "PAGE", 7)
    assert Talk(loopback, tmp_path / "b", "casjobs").rows(engine, PAIRS) == one
    assert len(list((tmp_path / "b").rglob("*.csv"))) > 5


def test_without_a_list_every_object_is_asked_for(loopback, form, engine, tmp_path, sky):
    good = passing(sky)
    assert (
        Talk(loopback, tmp_path, form).rows(engine, [], ()) == (good["as_printed"] | good["corrected"]).sum()
    )


def test_a_list_without_objid_uses_the_catalogues_own(loopback, form, engine, tmp_path):
    pairs = [(pair[0],) for pair in PAIRS[:20]]
    assert 15 < Talk(loopback, tmp_path, form).rows(engine, pairs, ("specObjID",)) <= 20


def test_a_cube_file_gives_the_list(sky):
    pairs, columns = cubes.read_pairs(sky / "sdss.npz")
    assert pairs.tolist() == [list(pair) for pair in PAIRS] and columns == ("specObjID", "objID")


def test_zero_rows_are_no_fault_here(loopback, form, engine, tmp_path):
    assert Talk(loopback, tmp_path, form, z_min=0.0, z_max=0.001).rows(engine, PAIRS) == 0


def test_an_answered_question_is_not_asked_again(loopback, form, engine, tmp_path):
    Talk(loopback, tmp_path, form).rows(engine, PAIRS)
    jobs = len(loopback.casjobs.jobs)
    before = len(loopback.server.requests)
    Talk(loopback, tmp_path, form).rows(engine, PAIRS)
    assert len(loopback.casjobs.jobs) == jobs and len(loopback.server.requests) - before < 10


# ---------------------------------------------------------------------------------------------------- restart


def test_a_restarted_run_picks_up_the_running_job(loopback, form, engine, tmp_path):
    first = Talk(loopback, tmp_path, form, poll=60.0)
    look = first.service.look

    def stop_after_one(job):
        first.session.stop.set()
        return look(job)

    first.service.look = stop_after_one
    with pytest.raises((Stopped, SanspecError)):
        first.rows(engine, PAIRS)
    submitted = [job for job in loopback.casjobs.jobs.values() if "INTO" in job.query]
    assert len(submitted) == 1 and manifest.read_jobs(engine)[-1]["state"] == "sent"
    assert Talk(loopback, tmp_path, form).rows(engine, PAIRS) > 50
    assert len([job for job in loopback.casjobs.jobs.values() if "INTO" in job.query]) == 1


def test_a_crash_between_intent_and_id_submits_nothing_twice(loopback, form, engine, tmp_path, monkeypatch):
    talk = Talk(loopback, tmp_path, form)
    submit = talk.service.submit

    def crash(text, name):
        submit(text, name)
        raise KeyboardInterrupt

    talk.service.submit = crash
    run = talk.run(engine)
    text = query.render("t1", None, 0.05, 0.15)
    with pytest.raises(KeyboardInterrupt):
        run.ensure_made("t1", text)
    assert manifest.read_job(engine, "t1").state == "intended"
    again = Talk(loopback, tmp_path, form)
    again.run(engine).ensure_made("t1", text)
    assert len(loopback.casjobs.jobs) == 1 and manifest.read_job(engine, "t1").state == "finished"


@pytest.mark.parametrize("kind", ["reset", "hang"])
def test_a_submission_whose_answer_is_lost_is_looked_up(loopback, account, engine, tmp_path, kind):
    loopback.faults.add("submit", kind)
    assert Talk(loopback, tmp_path, "casjobs", http=patience(kind)).rows(engine, PAIRS) > 50
    assert len([job for job in loopback.casjobs.jobs.values() if "INTO" in job.query]) == 1


def test_the_real_services_are_not_hurried():
    for name, value in (("poll", 4.9), ("query_interval", 0.9)):
        with pytest.raises(SanspecError, match=f"acquire.{name}.*{value} s is too often"):
            config.validate({"acquire": {name: value}})
    assert config.Config().acquire.poll >= 5 and config.Config().acquire.query_interval >= 1


def test_looks_at_a_job_become_rarer(loopback, account, tmp_path, monkeypatch):
    monkeypatch.setattr(casjobs, "POLL_MAX", 2.0)
    talk, waits = Talk(loopback, tmp_path, "casjobs", poll=1.0), []
    talk.session.sleep = waits.append
    talk.service.look = lambda job: casjobs.JobStatus(casjobs.FINISHED if len(waits) == 5 else 1)
    assert talk.service.wait(7).state == casjobs.FINISHED
    assert waits == [1.0, 1.5, 2.0, 2.0, 2.0]


# -------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("variable", ["SCISERVER_PASSWORD", "CASJOBS_PASSWORD"])
def test_wrong_credentials_are_one_line_and_one_try(
    loopback, account, engine, tmp_path, monkeypatch, variable
):
    monkeypatch.setenv(f"SANSPEC_{variable}", "wrong-password")
    form = "casjobs" if "SCI" in variable else "casjobs_soap"
    with pytest.raises(SanspecError, match="does not accept") as caught:
        Talk(loopback, tmp_path, form).rows(engine, PAIRS)
    assert "wrong-password" not in str(caught.value) and "\n" not in str(caught.value)
    assert len(loopback.server.requests) == 1, "a second try could lock the account"


def test_no_credentials_are_told(loopback, engine, tmp_path):
    for name, words in (("casjobs", "SANSPEC_SCISERVER_USER"), ("casjobs_soap", "SANSPEC_CASJOBS_WSID")):
        acquire = settings(loopback.base, tmp_path, service=name).acquire
        with Session(acquire.http) as session, pytest.raises(SanspecError, match=words):
            next(source.rows(session, engine, acquire, PAIRS, ("specObjID", "objID")))


def test_an_expired_token_in_mid_job_is_renewed(loopback, account, engine, tmp_path):
    loopback.casjobs.token_uses = 3
    assert Talk(loopback, tmp_path, "casjobs").rows(engine, PAIRS) > 50
    logins = [one for one in loopback.server.requests if one["route"] == "login"]
    assert len(logins) >= 3 and all(one["status"] == 201 for one in logins)


def test_a_token_that_is_never_accepted_ends_the_run(loopback, account, engine, tmp_path):
    loopback.casjobs.token_uses = 0
    with pytest.raises(SanspecError, match="does not accept SciServer's token"):
        Talk(loopback, tmp_path, "casjobs").rows(engine, PAIRS)


def test_a_failed_job_is_told_and_made_again(loopback, form, engine, tmp_path):
    loopback.casjobs.jobs_fail = ["Arithmetic overflow error converting expression to data type bigint."]
    words = "Arithmetic overflow" if form == "casjobs" else "job .* failed"
    with pytest.raises(SanspecError, match=words):
        Talk(loopback, tmp_path, form).rows(engine, PAIRS)
    assert Talk(loopback, tmp_path, form).rows(engine, PAIRS) > 50


def test_a_cancelled_job_is_told(loopback, form, engine, tmp_path):
    talk = Talk(loopback, tmp_path, form)
    submit = talk.service.submit

    def cancel(text, name):
        job = submit(text, name)
        loopback.casjobs.jobs[job].status = 3
        return job

    talk.service.submit = cancel
    with pytest.raises(SanspecError, match="cancelled"):
        talk.rows(engine, PAIRS)


def test_a_vanished_job_is_submitted_again(loopback, form, engine, tmp_path):
    talk = Talk(loopback, tmp_path, form)
    submit, lost = talk.service.submit, []

    def lose(text, name):
        job = submit(text, name)
        if not lost:
            lost.append(loopback.casjobs.jobs.pop(job))
        return job

    talk.service.submit = lose
    assert talk.rows(engine, PAIRS) > 50 and len(lost) == 1


def test_jobs_that_always_vanish_end_the_run(loopback, form, engine, tmp_path):
    talk = Talk(loopback, tmp_path, form)
    submit = talk.service.submit

    def lose(text, name):
        job = submit(text, name)
        loopback.casjobs.jobs.pop(job)
        return job

    talk.service.submit = lose
    with pytest.raises(SanspecError, match="again and again"):
        talk.rows(engine, PAIRS)


def test_a_full_mydb_names_what_fills_it(loopback, form, engine, tmp_path):
    loopback.database.quota = 30
    with pytest.raises(SanspecError, match="MyDB is full") as caught:
        Talk(loopback, tmp_path, form).rows(engine, PAIRS)
    assert "drop what you do not need" in str(caught.value)
    loopback.database.quota = 80  # room for the list, not for the catalogue
    with pytest.raises(SanspecError, match=r"MyDB is full.*_list_"):
        Talk(loopback, tmp_path, form).rows(engine, PAIRS)
    loopback.database.quota = 1000
    assert Talk(loopback, tmp_path, form).rows(engine, PAIRS) > 50


def test_a_table_of_that_name_is_not_dropped_unasked(loopback, form, engine, tmp_path):
    talk = Talk(loopback, tmp_path, form)
    name = name_table(talk.settings, "list", DIGEST)
    owner = "demo" if form == "casjobs" else "1234567"
    loopback.database.upload(loopback.casjobs.mydb(owner), name, ["specObjID"], [["7"]])
    with pytest.raises(SanspecError, match=r"already has a table .* acquire\.replace"):
        talk.rows(engine, PAIRS)
    assert Talk(loopback, tmp_path, form, replace=True).rows(engine, PAIRS) > 50


def test_a_table_of_ours_that_is_not_whole_is_made_again(loopback, form, engine, tmp_path):
    talk = Talk(loopback, tmp_path, form)
    name = name_table(talk.settings, "list", DIGEST)
    manifest.write_job(engine, name, purpose="upload", mytable=name, state="intended")
    owner = "demo" if form == "casjobs" else "1234567"
    loopback.database.upload(loopback.casjobs.mydb(owner), name, ["specObjID", "objID"], [["7", "8"]])
    assert talk.rows(engine, PAIRS) > 50


def test_a_list_kept_as_floats_is_noticed(loopback, form, engine, tmp_path, monkeypatch):
    """A service that reads 64-bit ids as floats would silently lose objects in the join."""
    upload = loopback.database.upload

    def rounded(mydb, table, columns, rows, append=False):
        return upload(mydb, table, columns, [[str(float(cell)) for cell in row] for row in rows], append)

    with (
        monkeypatch.context() as patched,
        pytest.raises(SanspecError, match=r"does not hold the ids .* floats"),
    ):
        patched.setattr(loopback.database, "upload", rounded)
        Talk(loopback, tmp_path, form).rows(engine, PAIRS)
    assert Talk(loopback, tmp_path, form).rows(engine, PAIRS) > 50


def test_a_wrong_query_is_told_in_the_databases_words(loopback, form, engine, tmp_path):
    talk = Talk(loopback, tmp_path, form)
    run = talk.run(engine)
    with pytest.raises(SanspecError, match="Invalid object name 'NoSuchTable'"):
        run.ensure_made("t", "SELECT a INTO mydb.t FROM NoSuchTable")


@pytest.mark.parametrize("kind", ["429", "503", "500", "html", "truncated", "hang", "reset", "401", "short"])
def test_passing_faults_of_the_query_cost_nothing(loopback, account, engine, tmp_path, kind):
    clean = Talk(loopback, tmp_path / "a", "casjobs").rows(engine, PAIRS)
    with catalogue.database(f"sqlite:///{tmp_path}/other.db") as other:
        loopback.faults.add("query", kind, times=2)
        loopback.faults.add("tables", "reset")
        loopback.faults.add("status", "401")
        talk = Talk(loopback, tmp_path / "b", "casjobs", replace=True, http=patience(kind))
        assert talk.rows(other, PAIRS) == clean


# -------------------------------------------------------------------------------------------- the SOAP output


def test_an_output_without_an_address_is_asked_for_again(loopback, account, engine, tmp_path):
    loopback.casjobs.hide_output = 2
    assert Talk(loopback, tmp_path, "casjobs_soap").rows(engine, PAIRS) > 50
    loopback.casjobs.hide_output = 10_000
    with pytest.raises(SanspecError, match="without giving its address"):
        Talk(loopback, tmp_path / "x", "casjobs_soap").rows(engine, PAIRS)


@pytest.mark.parametrize("place", ["/CasOut/../../etc/", "@evil.example.org/CasOut/", ".evil.example.org/x/"])
def test_an_output_elsewhere_is_not_fetched(loopback, account, engine, tmp_path, place):
    loopback.casjobs.output_prefix = place
    with pytest.raises(SanspecError, match="not an address of CasJobs"):
        Talk(loopback, tmp_path, "casjobs_soap").rows(engine, PAIRS)
    assert not [path for path in tmp_path.rglob("*.csv*")]


@pytest.mark.parametrize("kind", ["html", "truncated", "short", "404", "reset"])
def test_a_damaged_output_is_fetched_again(loopback, account, engine, tmp_path, kind):
    if kind == "404":
        loopback.faults.add("output", kind, times=99)
        with pytest.raises(SanspecError, match="HTTP 404"):
            Talk(loopback, tmp_path, "casjobs_soap").rows(engine, PAIRS)
        return
    loopback.faults.add("output", kind)
    assert Talk(loopback, tmp_path, "casjobs_soap").rows(engine, PAIRS) > 50


def test_a_document_type_is_refused(loopback, account, engine, tmp_path):
    from sanspec.archive.session import Answer, Transient

    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><long>&b;</long>'
    with pytest.raises(Transient):
        Talk(loopback, tmp_path, "casjobs_soap").service._parsed(Answer(200, {}, bomb))


# ---------------------------------------------------------------------------------------------------- secrets


def test_no_credential_is_left_anywhere(loopback, form, engine, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    talk = Talk(loopback, tmp_path, form)
    talk.rows(engine, PAIRS)
    token = getattr(talk.service, "_token", None) or "no token"
    texts = [caplog.text, json.dumps(list(loopback.server.requests))]
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert loopback.server.requests and len(texts) > 3
    for secret in (SECRET, token):
        assert not [text for text in texts if secret in text]
    assert all("pw" not in one["path"] for one in loopback.server.requests)
