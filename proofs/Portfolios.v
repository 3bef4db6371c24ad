(** The problem: policies with d rewards and a regulariser, the optimum J*, the envelope L of a portfolio, and what it
    means that a portfolio is an (ε, δ)-portfolio. *)

Require Import Reals Lra Lia.
From Palm Require Import Vectors.
Open Scope R_scope.

(** The policies allowed, finitely or infinitely many, each with its rewards R(π) and its regulariser f(π). *)
Record problem := { policy : Type; reward : policy -> vector; regulariser : policy -> R }.

Section Problem.
Variable d : nat.
Variable X : problem.

(** J_w(π) = ⟨w, R(π)⟩ - f(π) *)
Definition value (w : vector) (p : policy X) : R := dot d w (reward X p) - regulariser X p.

(** G(π) = R(π) - f(π)·1, the values at the vertices of the simplex *)
Definition vertex_values (p : policy X) : vector := fun i => reward X p i - regulariser X p.

(** Jstar w = J*_w = sup_π J_w(π) at every weight. The supremum need not be attained. *)
Definition is_optimum (Jstar : vector -> R) : Prop :=
  forall w, simplex d w -> is_lub (fun x => exists p, x = value w p) (Jstar w).

(** L w = max_{k<K} J_w(π_k) at every weight, for the portfolio π_0, ..., π_{K-1}. *)
Definition is_envelope (K : nat) (P : nat -> policy X) (L : vector -> R) : Prop :=
  forall w, simplex d w -> largest K (fun k => value w (P k)) (L w).

(** The portfolio with envelope L is an (ε, δ)-portfolio: L(w) >= (1-ε) J*_w - δ for every w in the simplex. *)
Definition is_portfolio (Jstar L : vector -> R) (eps delta : R) : Prop :=
  forall w, simplex d w -> (1 - eps) * Jstar w - delta <= L w.

(** Fact 1. On the simplex J_w(π) = ⟨w, G(π)⟩: a policy is a linear function of the weight. *)
Lemma value_is_linear w p : simplex d w -> value w p = dot d w (vertex_values p).
Proof.
  intros [_ Hs]. unfold value, vertex_values. rewrite dot_minus_r.
  rewrite (dot_const d w (regulariser X p)), Hs. lra.
Qed.

Lemma value_le_optimum Jstar w p : is_optimum Jstar -> simplex d w -> value w p <= Jstar w.
Proof. intros HJ Hw. destruct (HJ w Hw) as [Up _]. apply Up. exists p. reflexivity. Qed.

(** What holds for a·J_w(π), for every policy, holds for a·J*_w, if a >= 0. *)
Lemma optimum_le Jstar w a b : is_optimum Jstar -> simplex d w -> 0 <= a -> (exists p : policy X, True) ->
  (forall p, a * value w p <= b) -> a * Jstar w <= b.
Proof.
  intros HJ Hw Ha [p0 _] H. destruct (HJ w Hw) as [_ Least].
  destruct (Req_dec a 0) as [-> | Na].
  - specialize (H p0). lra.
  - assert (Q : Jstar w <= b / a).
    { apply Least. intros x [p ->]. specialize (H p).
      apply Rmult_le_reg_l with a; [lra |]. replace (a * (b / a)) with b by (field; assumption). assumption. }
    apply Rmult_le_compat_l with (r := a) in Q; [| assumption].
    replace (a * (b / a)) with b in Q by (field; assumption). assumption.
Qed.
End Problem.
