"""The commands of `xuezu` that do not start a process: operators, clients, keys, points, totals."""
