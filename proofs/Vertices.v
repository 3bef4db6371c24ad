(** A linear function on a polytope within the simplex is largest at a vertex.

    The polytope is cut out of the hyperplane Σ w_i = 1 by finitely many inequalities ⟨w, B_j⟩ >= 0. The proof walks:
    from a point that is no vertex one can go along a line, upwards or level, until one more inequality becomes an
    equality; after at most as many steps as there are inequalities a vertex is reached. A vertex is known by its
    equalities, so there are finitely many. *)

Require Import Reals Lra Lia List.
Require Classical_Prop.
From Palm Require Import Vectors.
Open Scope R_scope.

(** A vertex of a set of vectors: a point of it that is not the midpoint of two others. *)
Definition vertex (d : nat) (S : vector -> Prop) (c : vector) : Prop :=
  S c /\ forall a b, S a -> S b -> (∀ i < d, c i = (a i + b i) / 2) -> same d a b.

(** S has finitely many points: each is, entry by entry, one of a list of points of S. *)
Definition finite (d : nat) (S : vector -> Prop) : Prop :=
  exists l : list vector, (forall x, In x l -> S x) /\ forall c, S c -> exists x, In x l /\ same d c x.

(** * Facts about finitely many numbers *)

(** Numbers that sum to 0 and are not all 0: one is negative. *)
Lemma some_negative n g : sum n g = 0 -> (∃ i < n, g i <> 0) -> ∃ i < n, g i < 0.
Proof.
  intros Hs (k & Hk & Hg). apply Classical_Prop.NNPP. intros H.
  assert (P : ∀ i < n, 0 <= g i).
  { intros i Hi. destruct (Rlt_le_dec (g i) 0); [| assumption]. exfalso. apply H. exists i. auto. }
  pose proof (sum_term_le n g k P Hk). pose proof (P k Hk). lra.
Qed.

(** Along the ray a + t·s from a >= 0 there is a last t >= 0 at which all entries are >= 0, if some s_j < 0; there an
    entry with s_j < 0 has become 0. *)
Lemma first_hit n (a s : nat -> R) :
  (∀ j < n, 0 <= a j) -> (∃ j < n, s j < 0) ->
  exists t, 0 <= t /\ (∀ j < n, 0 <= a j + t * s j) /\ ∃ j < n, s j < 0 /\ a j + t * s j = 0.
Proof.
  intros Ha.
  assert (Last : ((∀ j < n, 0 <= s j) \/ exists t, 0 <= t /\ (∀ j < n, 0 <= a j + t * s j) /\
                    ∃ j < n, s j < 0 /\ a j + t * s j = 0)).
  2: { intros (j & Hj & Hs). destruct Last as [Up | Hit]; [| assumption]. pose proof (Up j Hj). lra. }
  induction n; [left; intros; lia |].
  assert (Hn : 0 <= a n) by auto.
  (* the inequality n alone allows t <= a n / - s n *)
  assert (Alone : s n < 0 -> 0 <= a n / - s n /\ a n + a n / - s n * s n = 0).
  { intros S. split; [| field; lra]. apply Rmult_le_pos; [assumption |]. apply Rlt_le, Rinv_0_lt_compat. lra. }
  destruct IHn as [Up | (t & Ht & All & j & Hj & Sj & Zj)]; [auto | |].
  - destruct (Rlt_le_dec (s n) 0) as [S | S].
    + destruct (Alone S) as [T Z]. right. exists (a n / - s n). repeat split; [assumption | | exists n; auto].
      intros j Hj. destruct (Nat.eq_dec j n) as [-> |]; [lra |].
      assert (0 <= s j) by (apply Up; lia). assert (0 <= a j) by auto. nra.
    + left. intros j Hj. destruct (Nat.eq_dec j n) as [-> |]; [lra | apply Up; lia].
  - right. destruct (Rlt_le_dec (a n + t * s n) 0) as [L | L].
    + assert (S : s n < 0) by nra. destruct (Alone S) as [T Z].
      assert (a n / - s n <= t) by nra.
      exists (a n / - s n). repeat split; [assumption | | exists n; auto].
      intros k Hk. destruct (Nat.eq_dec k n) as [-> |]; [lra |].
      assert (0 <= a k + t * s k) by (apply All; lia). assert (0 <= a k) by auto.
      destruct (Rle_lt_dec 0 (s k)); nra.
    + exists t. repeat split; [assumption | | exists j; auto].
      intros k Hk. destruct (Nat.eq_dec k n) as [-> |]; [lra | apply All; lia].
Qed.

(** From a >= 0 one can go a little both ways along s, if s is 0 wherever a is. *)
Lemma small_step n (a s : nat -> R) : (∀ j < n, 0 <= a j) -> (∀ j < n, a j = 0 -> s j = 0) ->
  exists t, 0 < t /\ ∀ j < n, 0 <= a j + t * s j /\ 0 <= a j - t * s j.
Proof.
  induction n; intros Ha Hs; [exists 1; split; [lra | intros; lia] |].
  destruct IHn as (t & Ht & H); [auto | auto |].
  assert (An : 0 <= a n) by auto.
  destruct (Req_dec (a n) 0) as [Z | Z].
  - exists t. split; [assumption |]. intros j Hj. destruct (Nat.eq_dec j n) as [-> |]; [| apply H; lia].
    rewrite (Hs n), Z by auto. lra.
  - set (b := 1 + Rabs (s n)).
    assert (Bpos : 0 < b) by (unfold b; pose proof (Rabs_pos (s n)); lra).
    assert (Quot : 0 < a n / b) by (apply Rdiv_lt_0_compat; lra).
    assert (Qb : a n / b * b = a n) by (field; lra).
    exists (Rmin t (a n / b)). split; [apply Rmin_pos; assumption |].
    pose proof (Rmin_l t (a n / b)). pose proof (Rmin_r t (a n / b)).
    pose proof (Rmin_pos t (a n / b) Ht Quot). set (r := Rmin t (a n / b)) in *.
    intros j Hj. destruct (Nat.eq_dec j n) as [-> |].
    + pose proof (Rle_abs (s n)). pose proof (Rle_abs (- s n)). rewrite Rabs_Ropp in *.
      assert (r * b <= a n) by nra. assert (r * s n <= r * b) by (unfold b in *; nra).
      assert (r * - s n <= r * b) by (unfold b in *; nra). split; lra.
    + destruct (H j) as [Plus Minus]; [lia |]. assert (0 <= a j) by auto.
      split; destruct (Rle_lt_dec 0 (s j)); nra.
Qed.

(** How many of g 0, ..., g (n-1) are not 0. *)
Fixpoint nonzeros (n : nat) (g : nat -> R) : nat :=
  match n with
  | O => O
  | S m => ((if Req_EM_T (g m) 0 then 0 else 1) + nonzeros m g)%nat
  end.

Lemma nonzeros_le n g h : (∀ j < n, g j = 0 -> h j = 0) -> (nonzeros n h <= nonzeros n g)%nat.
Proof.
  induction n; simpl; intros H; [lia |].
  assert (nonzeros n h <= nonzeros n g)%nat by (apply IHn; auto).
  destruct (Req_EM_T (h n) 0); destruct (Req_EM_T (g n) 0); try lia.
  exfalso. auto.
Qed.

Lemma nonzeros_lt n g h :
  (∀ j < n, g j = 0 -> h j = 0) -> (∃ j < n, g j <> 0 /\ h j = 0) -> (nonzeros n h < nonzeros n g)%nat.
Proof.
  induction n; simpl; intros H (j & Hj & Hg & Hh); [lia |].
  assert (Le : (nonzeros n h <= nonzeros n g)%nat) by (apply nonzeros_le; auto).
  destruct (Nat.eq_dec j n) as [-> | E].
  - destruct (Req_EM_T (h n) 0); destruct (Req_EM_T (g n) 0); try lia; contradiction.
  - assert (nonzeros n h < nonzeros n g)%nat by (apply IHn; [auto | exists j; repeat split; auto; lia]).
    destruct (Req_EM_T (h n) 0); destruct (Req_EM_T (g n) 0); try lia.
    exfalso. auto.
Qed.

(** * The polytope *)

Section Polytope.
Variable d : nat.
Variable N : nat.
Variable B : nat -> vector.

Definition polytope (w : vector) : Prop := sum d w = 1 /\ ∀ j < N, 0 <= dot d w (B j).

(** Among the inequalities are w_i >= 0 for every i: the polytope lies in the simplex. *)
Hypothesis coordinates : ∀ i < d, ∃ j < N, forall w, dot d w (B j) = w i.

Definition slacks (w : vector) : nat := nonzeros N (fun j => dot d w (B j)).

(** A point of the polytope that is no vertex lies inside a segment of it: there is a direction u along which the sum
    and every equality stay, and along which a given linear function h does not fall. *)
Lemma direction w h : polytope w -> ~ vertex d polytope w ->
  exists u, sum d u = 0 /\ (∃ i < d, u i <> 0) /\ 0 <= dot d u h /\
    ∀ j < N, dot d w (B j) = 0 -> dot d u (B j) = 0.
Proof.
  intros Hw Hv.
  assert (exists a b, polytope a /\ polytope b /\ (∀ i < d, w i = (a i + b i) / 2) /\ ∃ i < d, a i <> b i)
    as (a & b & [Sa Ba] & [Sb Bb] & Mid & i & Hi & Ne).
  { apply Classical_Prop.NNPP. intros H. apply Hv. split; [assumption |].
    intros a b Ha Hb Mid i Hi. apply Classical_Prop.NNPP. intros Ne. apply H. exists a, b. eauto 8. }
  assert (Lin : forall g, dot d w g = (dot d a g + dot d b g) / 2).
  { intros g. unfold dot. rewrite <- sum_plus. unfold Rdiv. rewrite <- sum_scal_r. apply sum_ext.
    intros k Hk. rewrite Mid; auto. lra. }
  assert (Dir : forall x y, polytope x -> polytope y -> (∃ i < d, x i <> y i) ->
            (forall g, dot d w g = (dot d x g + dot d y g) / 2) -> 0 <= dot d x h - dot d y h ->
            exists u, sum d u = 0 /\ (∃ i < d, u i <> 0) /\ 0 <= dot d u h /\
              ∀ j < N, dot d w (B j) = 0 -> dot d u (B j) = 0).
  { intros x y [Sx Bx] [Sy By] (k & Hk & Nk) Half Up.
    assert (Diff : forall g, dot d (fun i => x i - y i) g = dot d x g - dot d y g).
    { intros g. unfold dot. rewrite <- sum_minus. apply sum_ext. intros. lra. }
    exists (fun i => x i - y i). repeat split.
    - rewrite sum_minus. lra.
    - exists k. split; [assumption | lra].
    - rewrite Diff. assumption.
    - intros j Hj Tight. rewrite Diff. rewrite Half in Tight. pose proof (Bx j Hj). pose proof (By j Hj). lra. }
  destruct (Rle_lt_dec (dot d b h) (dot d a h)).
  - apply (Dir a b); [split | split | exists i | | ]; auto. lra.
  - apply (Dir b a); [split | split | exists i | | ]; auto.
    + intros g. rewrite Lin. lra.
    + lra.
Qed.

(** One step of the walk: fewer inequalities are slack, and h has not fallen. *)
Lemma step w h : polytope w -> ~ vertex d polytope w ->
  exists w', polytope w' /\ dot d w h <= dot d w' h /\ (slacks w' < slacks w)%nat.
Proof.
  intros Hw Hv. destruct (direction w h Hw Hv) as (u & Su & Nu & Up & Tight).
  destruct Hw as [Sw Bw].
  destruct (some_negative d u Su Nu) as (i & Hi & Neg).
  destruct (coordinates i Hi) as (j & Hj & Cj).
  destruct (first_hit N (fun j => dot d w (B j)) (fun j => dot d u (B j)) Bw) as (t & Ht & All & k & Hk & Sk & Zk).
  { exists j. rewrite Cj. auto. }
  set (w' := fun i => w i + t * u i).
  assert (Lin : forall g, dot d w' g = dot d w g + t * dot d u g).
  { intros g. unfold w'. rewrite dot_plus, dot_scal. reflexivity. }
  exists w'. repeat split.
  - unfold w'. rewrite sum_plus, sum_scal. rewrite Sw, Su. lra.
  - intros m Hm. rewrite Lin. apply All. assumption.
  - rewrite Lin. nra.
  - unfold slacks. apply nonzeros_lt.
    + intros m Hm Z. rewrite Lin, Z, (Tight m Hm Z). lra.
    + exists k. repeat split; [assumption | | rewrite Lin; assumption].
      intros Z. rewrite (Tight k Hk Z) in Sk. lra.
Qed.

(** For every linear function h and every point w of the polytope some vertex c has ⟨w, h⟩ <= ⟨c, h⟩. *)
Theorem vertex_dominates : forall w h, polytope w -> exists c, vertex d polytope c /\ dot d w h <= dot d c h.
Proof.
  intros w h. remember (slacks w) as n eqn:E. revert w E.
  induction n as [n IH] using lt_wf_ind. intros w -> Hw.
  destruct (Classical_Prop.classic (vertex d polytope w)) as [V | V].
  - exists w. split; [assumption | lra].
  - destruct (step w h Hw V) as (w' & Hw' & Le & Lt).
    destruct (IH (slacks w') Lt w' eq_refl Hw') as (c & Vc & Lc).
    exists c. split; [assumption | lra].
Qed.

(** Two vertices with the same equalities are the same point. *)
Lemma vertex_unique c c' : vertex d polytope c -> vertex d polytope c' ->
  (∀ j < N, dot d c (B j) = 0 <-> dot d c' (B j) = 0) -> same d c c'.
Proof.
  intros [[Sc Bc] Vc] [[Sc' Bc'] _] Tight i Hi.
  set (u := fun i => c' i - c i).
  assert (Diff : forall g, dot d u g = dot d c' g - dot d c g).
  { intros g. unfold u, dot. rewrite <- sum_minus. apply sum_ext. intros. lra. }
  destruct (small_step N (fun j => dot d c (B j)) (fun j => dot d u (B j)) Bc) as (t & Ht & Both).
  { intros j Hj Z. rewrite Diff, Z. destruct (Tight j Hj) as [To _]. rewrite To by assumption. lra. }
  assert (Inside : forall r, (∀ j < N, 0 <= dot d c (B j) + r * dot d u (B j)) -> polytope (fun i => c i + r * u i)).
  { intros r H. split.
    - rewrite sum_plus, sum_scal. unfold u. rewrite sum_minus, Sc, Sc'. lra.
    - intros j Hj. rewrite dot_plus, dot_scal. auto. }
  assert (E : c i + t * u i = c i + - t * u i).
  { apply (Vc (fun i => c i + t * u i) (fun i => c i + - t * u i)); [apply Inside | apply Inside | | assumption].
    - intros j Hj. apply Both. assumption.
    - intros j Hj. destruct (Both j Hj). lra.
    - intros k Hk. lra. }
  assert (u i = 0) by nra. unfold u in *. lra.
Qed.

(** A set whose points are told apart by m yes-no questions is finite. *)
Lemma finite_by_questions (T : nat -> vector -> Prop) m : forall S : vector -> Prop,
  (forall c c', S c -> S c' -> (∀ j < m, T j c <-> T j c') -> same d c c') -> finite d S.
Proof.
  induction m; intros S H.
  - destruct (Classical_Prop.classic (exists c, S c)) as [[c Hc] | None].
    + exists (c :: nil). split.
      * intros x [<- | []]. assumption.
      * intros c' Hc'. exists c. split; [left; reflexivity |]. apply H; auto. intros; lia.
    + exists nil. split; [intros x [] |]. intros c Hc. exfalso. apply None. exists c. assumption.
  - assert (Part : forall Q : vector -> Prop,
      (forall c c', Q c -> Q c' -> (T m c <-> T m c')) -> finite d (fun c => S c /\ Q c)).
    { intros Q HQ. apply IHm. intros c c' [Hc Qc] [Hc' Qc'] Same. apply H; auto.
      intros j Hj. destruct (Nat.eq_dec j m) as [-> |]; [auto | apply Same; lia]. }
    destruct (Part (T m)) as (yes & Yes & AllYes); [tauto |].
    destruct (Part (fun c => ~ T m c)) as (no & No & AllNo); [tauto |].
    exists (yes ++ no). split.
    + intros x Hx. apply in_app_or in Hx. destruct Hx as [Hx | Hx]; [apply Yes in Hx | apply No in Hx]; tauto.
    + intros c Hc. destruct (Classical_Prop.classic (T m c)) as [Q | Q].
      * destruct (AllYes c) as (x & Hx & Sx); [auto |]. exists x. auto using in_or_app.
      * destruct (AllNo c) as (x & Hx & Sx); [auto |]. exists x. auto using in_or_app.
Qed.

(** The polytope has finitely many vertices. *)
Theorem vertices_finite : finite d (vertex d polytope).
Proof.
  apply (finite_by_questions (fun j c => dot d c (B j) = 0) N). apply vertex_unique.
Qed.
End Polytope.

Print Assumptions vertex_dominates.
Print Assumptions vertices_finite.
