"""The commands of `xuezu` besides starting a process: operators, clients, keys, points, totals."""
