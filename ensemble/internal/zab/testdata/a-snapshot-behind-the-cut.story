# A server that a leader sent its snapshot, and then was lost, has nothing on disk from before that snapshot. The next leader has another
# history and tells it to go back to before. There is nothing wrong with what it has: it comes again to the same leader, as participant,
# and says that it has nothing. The epoch it has promised already, so it does not count by that (it does by what it said first).
> learner 2 of=1,2,3 accepted=14 current=12 last=14:38
  nothing
> connected
  send FOLLOWERINFO 14:0
> LEADERINFO 16:0
  save accepted epoch 16
> saved accepted 16
  send ACKEPOCH 14:38 epoch=12
> TRUNC 14:23
  truncate 14:23
> NEWLEADER 16:0
  nothing
> truncation failed 14:23
  abandon: what is on disk cannot be cut there
> learner 2 of=1,2,3 accepted=16 current=12 last=14:38 uncut=16@14:23
  nothing
> connected
  send FOLLOWERINFO 16:0
> LEADERINFO 16:0
  send ACKEPOCH -1 epoch=-1
> SNAP 14:23
  install 14:23
> partial
  false
> installed 14:23
  nothing
> NEWLEADER 16:0
  save current epoch 16
> saved current 16
  send ACK 16:0
> UPTODATE
  send ACK 16:0
  established 16
# The leader's tree is behind its log: what is missing may have been agreed upon because this server had it, so the snapshot is not to
# be believed alone.
> learner 2 of=1,2,3 accepted=16 current=12 last=14:38 uncut=16@14:23
  nothing
> connected
  send FOLLOWERINFO 16:0
> LEADERINFO 16:0
  send ACKEPOCH -1 epoch=-1
> SNAP 14:22
  install 14:22
> partial
  true
> installed 14:22
  nothing
> PROPOSAL 14:23
  append 14:23
> COMMIT 14:23
  committed 14:23
> NEWLEADER 16:0
  nothing
> synced 14:23
  save current epoch 16
# It cannot go back, and cannot take anything that goes on from where it is.
> learner 2 of=1,2,3 accepted=16 current=12 last=14:38 uncut=16@14:23
  nothing
> connected
  send FOLLOWERINFO 16:0
> LEADERINFO 16:0
  send ACKEPOCH -1 epoch=-1
> TRUNC 14:23
  abandon: packet that has no place here (TRUNC for a server without history)
# In another epoch it shows what it has: there it must count for what it is.
> learner 2 of=1,2,3 accepted=16 current=12 last=14:38 uncut=16@14:23
  nothing
> connected
  send FOLLOWERINFO 16:0
> LEADERINFO 17:0
  save accepted epoch 17
> saved accepted 17
  send ACKEPOCH 14:38 epoch=12
# The leader needs it for its quorum. It remembers what it was told on the first link.
> leader 1 of=1,2,3 accepted=15 current=14 last=14:23
  nothing
> 2 connects accepted=15
  save accepted epoch 16
> saved accepted 16
  send to 2 LEADERINFO 16:0
> 2: ACKEPOCH 14:38 epoch=12
  save current epoch 16
  send to 2 TRUNC 14:23
  send to 2 NEWLEADER 16:0
> saved current 16
  nothing
> drop 2
  nothing
> 2 connects accepted=16 link=22
  send to 22 LEADERINFO 16:0
> 22: ACKEPOCH -1 epoch=-1
  take snapshot for 22
> snapshot 22 14:23
  send to 22 NEWLEADER 16:0
> 22: ACK 16:0
  established 16
  send to 22 UPTODATE
  send to 22 PING 16:0 answers=0
# One that never showed what it has does not count.
> leader 1 of=1,2,3 accepted=15 current=14 last=14:23
  nothing
> 2 connects accepted=16
  save accepted epoch 17
> saved accepted 17
  send to 2 LEADERINFO 17:0
> 2: ACKEPOCH -1 epoch=-1
  nothing
> 3 connects accepted=16
  send to 3 LEADERINFO 17:0
> 3: ACKEPOCH 14:23 epoch=14
  save current epoch 17
  take snapshot for 2
  send to 3 DIFF 14:23
  send to 3 NEWLEADER 17:0
