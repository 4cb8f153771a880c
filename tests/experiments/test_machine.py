"""What a worker reads of a training and its machine."""

import os
from pathlib import Path

from experiments.pipeline.machine import Machine, gpu_values


def test_a_reading_has_plausible_values_and_known_names(tmp_path: Path) -> None:
    machine = Machine(os.getpid(), tmp_path)
    sum(n * n for n in range(3_000_000))
    found = machine.read()
    assert all(name.startswith("system/") for name in found)
    assert 0 < found["system/system_memory_usage_percentage"] < 100
    assert 0 <= found["system/disk_usage_percentage"] <= 100
    assert found["system/process_cpu_percentage"] > 0
    assert found["system/process_memory_megabytes"] > 5


def test_a_process_that_is_gone_is_left_out(tmp_path: Path) -> None:
    found = Machine(2**22 + 1, tmp_path).read()
    assert "system/process_memory_megabytes" not in found
    assert "system/system_memory_usage_percentage" in found


def test_cards_are_read_and_what_they_do_not_tell_is_left_out() -> None:
    assert gpu_values("35, 1024, 16384, 71.5\n0, 3, 16384, [N/A]\n") == {
        "gpu_0_utilization_percentage": 35.0, "gpu_0_memory_usage_megabytes": 1024.0,
        "gpu_0_memory_total_megabytes": 16384.0, "gpu_0_power_usage_watts": 71.5,
        "gpu_1_utilization_percentage": 0.0, "gpu_1_memory_usage_megabytes": 3.0,
        "gpu_1_memory_total_megabytes": 16384.0,
    }  # fmt: skip
    assert gpu_values("No devices were found\n") == {}
