# The counter does not run over into the epoch.
> leader 1 of=1 accepted=1 current=1 last=1:1 start=0xfffffffd
  save accepted epoch 2
> saved accepted 2
  save current epoch 2
> saved current 2
  established 2
> next
  2:4294967294
> propose 2:0xfffffffe
  nothing
> next
  exhausted
> propose 2:0xffffffff
  refused: not the next zxid
> synced 2:0xfffffffe
  committed 2:4294967294
