"""Areas beside other ways to share arrays between Python processes: `cargo xtask bench python`.

| file | what |
|---|---|
| `measure.py` | two sides in turn; ratios of neighbours, medians and quartiles |
| `outcome.py` | what a row returns |
| `report.py` | tables for a person, JSON for a program |
| `machine.py` | what the machine is |
| `rows/` | one file a subject |
| `ranks.py` | what MPI processes do for the row `windows` |

It is the Python twin of `bench/src`: the same plan of measurement, the same report.
"""
