import pickle

from helpers.scored_maps import ManyMasks

from ribstudy.evaluation import passes
from ribstudy.evaluation.coverage import measure_coverage
from ribstudy.evaluation.steps import endings, steps_table


def test_every_pass_can_run_in_other_processes(monkeypatch):
    data = ManyMasks(120)
    stored, methods, cut = data.stored(), ("CAM", "RIB"), {"CAM": 0.3, "RIB": 0.6}

    def results():
        covered = measure_coverage(data, dict.fromkeys(methods, stored), cut, processes=2)
        return [steps_table(data, stored, processes=2).to_dict(), endings(stored, processes=2).to_dict(), covered.background]

    def elsewhere(work, tasks, *, processes):
        assert processes == 2
        return map(pickle.loads(pickle.dumps(work)), tasks)

    here = results()
    monkeypatch.setattr(passes, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(passes, "map_in_processes", elsewhere)
    assert results() == here
