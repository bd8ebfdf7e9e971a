# Apache's follower exits when a COMMIT is not for the oldest proposal. Ours leaves the leader.
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
> NEWLEADER 2:0
  save current epoch 2
> saved current 2
  send ACK 2:0
> UPTODATE
  send ACK 2:0
  established 2
> PROPOSAL 2:1
  append 2:1
> PROPOSAL 2:2
  append 2:2
> COMMIT 2:2
  abandon: commit out of order (expected is 0x200000001)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> DIFF 1:1
  nothing
> NEWLEADER 2:0
  save current epoch 2
> saved current 2
  send ACK 2:0
> UPTODATE
  send ACK 2:0
  established 2
> COMMIT 2:1
  abandon: commit out of order (expected is none)
