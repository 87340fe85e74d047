from monai_kd.inference.running.shards import (
    WHOLE,
    Shard,
    code_for_torchrun,
    processes_here,
    shard_of_torchrun,
)


def test_torchrun_gives_each_of_its_processes_a_shard_and_nobody_else_does(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert shard_of_torchrun() == WHOLE
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert (shard_of_torchrun(), processes_here()) == (Shard(3, 4), 2)


def test_torchrun_hears_of_interrupts_and_faults_but_not_of_cases_left_out(monkeypatch):
    codes = (0, 1, 2, 3, 130)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert tuple(map(code_for_torchrun, codes)) == codes
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert tuple(map(code_for_torchrun, codes)) == (0, 0, 2, 0, 130)
